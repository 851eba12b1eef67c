"""Muon for the matrices inside the network and Adam for everything else, on float32 masters of bfloat16 weights.

Muon (Keller Jordan, https://kellerjordan.github.io/posts/muon/): the momentum of each matrix is made nearly orthogonal
by five Newton-Schulz steps. Matrices of one shape are handled in one stack, because the model is small and launches
cost more than arithmetic.
"""

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
BETAS = (0.9, 0.98)
OTHERS = ("embed_tokens", "lm_head", "pos_embed", "patch_embed", "conv1d", "in_proj_a", "in_proj_b")


def orthogonal(stack: Tensor) -> Tensor:
    """[N, R, C] matrices with their singular values moved close to one."""
    a, b, c = COEFFICIENTS
    x = stack.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: Tensor = (x.mT if tall else x).float()
    return result


class Optimizer:
    """Holds the masters; `step` takes the gradients of the live weights and writes the new weights back.

    The rates' factor lies in a tensor and gradients keep their place, so that a step can be recorded and repeated.
    """

    def __init__(self, named: dict[str, nn.Parameter], muon_rate: float, adam_rate: float, decay: float) -> None:
        self._rates = muon_rate, adam_rate, decay
        matrices = [n for n, p in named.items() if p.ndim == 2 and not any(word in n for word in OTHERS)]
        self._stacks: list[list[nn.Parameter]] = []
        for shape in sorted({tuple(named[name].shape) for name in matrices}):
            self._stacks.append([named[name] for name in matrices if tuple(named[name].shape) == shape])
        self._masters = [torch.stack([p.detach().float() for p in stack]) for stack in self._stacks]
        self._momenta = [torch.zeros_like(master) for master in self._masters]
        self._others = [parameter for name, parameter in named.items() if name not in matrices]
        self._copies = [p.detach().float().clone() for p in self._others]
        self._first = [torch.zeros_like(copy) for copy in self._copies]
        self._second = [torch.zeros_like(copy) for copy in self._copies]
        device = self._copies[0].device
        self.factor, self._count = torch.zeros((), device=device), torch.zeros((), device=device)
        self.gradients: list[Tensor] = []
        for parameter in named.values():
            parameter.grad = torch.zeros_like(parameter)
            self.gradients.append(parameter.grad)

    def state(self) -> dict[str, Tensor]:
        """Everything that a later training needs to go on, by name; `restore` takes it back."""
        lists = {
            "master": self._masters,
            "momentum": self._momenta,
            "copy": self._copies,
            "first": self._first,
            "second": self._second,
        }
        found = {f"{name}.{at}": tensor for name, tensors in lists.items() for at, tensor in enumerate(tensors)}
        return found | {"count": self._count}

    @torch.no_grad()
    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from what `state` gave, with the weights rounded from its masters."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])
        for stack, master in zip(self._stacks, self._masters, strict=True):
            torch._foreach_copy_([p.data for p in stack], list(master.unbind(0)))
        torch._foreach_copy_([p.data for p in self._others], self._copies)

    @torch.no_grad()
    def step(self) -> None:
        """One step at `factor` of the full rates; clears the gradients."""
        self._muon()
        self._adam()
        torch._foreach_zero_(self.gradients)

    def _muon(self) -> None:
        rate, _, decay = self._rates
        for stack, master, momentum in zip(self._stacks, self._masters, self._momenta, strict=True):
            gradient = torch.stack([p.grad for p in stack if p.grad is not None]).float()
            momentum.lerp_(gradient, 0.05)
            update = orthogonal(gradient.lerp_(momentum, 0.95))
            rows, columns = master.shape[-2:]
            master.mul_(1 - self.factor * (rate * decay))
            master.sub_(update * (self.factor * (rate * max(1.0, rows / columns) ** 0.5)))
            torch._foreach_copy_([p.data for p in stack], list(master.unbind(0)))

    def _adam(self) -> None:
        first, second = BETAS
        gradients = [p.grad.float() for p in self._others if p.grad is not None]
        norm = torch.stack(torch._foreach_norm(gradients)).norm()
        torch._foreach_mul_(gradients, (1.0 / norm.clamp(min=1.0)).clamp(max=1.0))
        self._count += 1
        torch._foreach_lerp_(self._first, gradients, 1 - first)
        torch._foreach_mul_(self._second, second)
        torch._foreach_addcmul_(self._second, gradients, gradients, 1 - second)
        size = torch._foreach_sqrt(self._second)
        torch._foreach_div_(size, (1 - second**self._count).sqrt())
        torch._foreach_add_(size, 1e-8)
        change = torch._foreach_div(self._first, size)
        torch._foreach_mul_(change, self.factor * self._rates[1] / (1 - first**self._count))
        torch._foreach_sub_(self._copies, change)
        torch._foreach_copy_([p.data for p in self._others], self._copies)
