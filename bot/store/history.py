"""The core's `History` port on SQL: the contract stands in `bot/chat/ports.py`."""

from bot.store import access, conversations, incoming, replies
from bot.store.binding import OnTransactions, reads, writes


class SqlHistory(OnTransactions):
    """Every channel's turns. Each method is one transaction: durable when it returns."""

    # What people say
    add_message = writes(incoming.add_message)
    note_seen = writes(incoming.note_seen)
    last_seen = reads(incoming.last_seen)
    edit_message = writes(incoming.edit_message, erases=True)
    renew_message = writes(incoming.renew_message, erases=True)
    replace_message = writes(incoming.replace_message, erases=True)
    delete_messages = writes(incoming.delete_messages, erases=True)
    delete_turn = writes(incoming.delete_turn, erases=True)
    edit_turn = writes(incoming.edit_turn, erases=True)

    # Reading
    turn = reads(access.read_turn)
    turn_of_message = reads(conversations.turn_of_message)
    window = reads(conversations.window)
    pending = reads(conversations.pending)
    channels_quoting = reads(conversations.channels_quoting)
    channels_with_pending = reads(conversations.channels_with_pending)
    last_reply = reads(conversations.last_reply)
    export = reads(conversations.export)

    # The bot's own turns
    begin_reply = writes(replies.begin_reply)
    begin_swipe = writes(replies.begin_swipe)
    show_reply = writes(replies.show_reply)
    finish_reply = writes(replies.finish_reply)
    abandon_reply = writes(replies.abandon_reply, erases=True)
    select_swipe = writes(replies.select_swipe)
    generation = reads(replies.generation)
    recover = writes(replies.recover)

    # Turning a conversation over
    reset = writes(conversations.reset)
    restore = writes(conversations.restore)
    hide_last_exchange = writes(conversations.hide_last_exchange)
    unhide = writes(conversations.unhide)
