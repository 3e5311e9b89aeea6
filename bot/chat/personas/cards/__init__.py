"""Character cards: bytes in, records out, and back again without loss.

`reading` finds out what a file is and hands it to the reader of its kind; `writing` makes a file of
a card. Nothing here touches a disk, a database or the network.
"""
