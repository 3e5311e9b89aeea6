"""A model's own layers as plain calls: norms and linear layers, without what a module's call costs.

Quantized layers are called as they are. Plain ones of one input become one product.
"""

from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

# Up to here a processor multiplies weights by rows faster than rows by weights; from 6 on, alike.
FEW_ROWS = 4

Linear = Callable[[Tensor], Tensor]


def norm(module: Any) -> Linear:
    """RMS normalisation in one call. In half precision the module's own rounding is kept."""
    weight = cast(Tensor, module.weight)
    if weight.dtype != torch.float32:
        return cast(Linear, module)
    epsilon = float(module.variance_epsilon)
    shape = list(weight.shape)
    return lambda hidden: torch.rms_norm(hidden, shape, weight, epsilon)


def projection(module: Any) -> Linear:
    """A projection, without the cost of a module's call where it is a plain one."""
    if type(module) is not nn.Linear:
        return cast(Linear, module)
    return _product(module.weight, module.bias)


def _product(weight: Tensor, bias: Tensor | None = None) -> Linear:
    """A plain projection. On a processor, a few rows take the product the other way round."""
    if weight.device.type != "cpu":
        return lambda hidden: functional.linear(hidden, weight, bias)

    def project(hidden: Tensor) -> Tensor:
        if bias is None and 1 < hidden.shape[0] <= FEW_ROWS:
            return torch.mm(weight, hidden.t()).t().contiguous()
        return functional.linear(hidden, weight, bias)

    return project


def _is_plain(module: Any) -> bool:
    return type(module) is nn.Linear and cast("Tensor | None", module.bias) is None


def side_by_side(*modules: Any) -> Linear:
    """Projections of one input, their results side by side. Plain ones become one product.

    The modules keep working: their weights become views of the merged one, so that nothing is
    held twice.
    """
    if not all(_is_plain(module) for module in modules):
        linears = [projection(module) for module in modules]
        return lambda hidden: torch.cat([linear(hidden) for linear in linears], dim=-1)
    merged = torch.cat([module.weight for module in modules])
    row = 0
    for module in modules:
        height = module.weight.shape[0]
        module.weight.data = merged[row : row + height]
        row += height
    return _product(merged)
