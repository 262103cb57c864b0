"""Released PyTorch names of our variables, in both directions.

`DF_MVR` and `BISENET` map our module's path to the name of its PyTorch module, or to several names and sizes
where one layer of ours holds the outputs of several of theirs. The rest follows from the arrays: convolution
HWIO <-> OIHW, dense layer `[in, out]` <-> 1x1 convolution, the dense kernel of `UpConv2x2` <-> transposed
convolution, scale, bias, mean and var of a batch norm <-> weight, bias, running_mean and running_var.
"""

import dataclasses

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from dfmvr_jax.conventions import VIEWS
from dfmvr_jax.errors import InputError

Modules = dict[str, str | dict[str, int]]

# in the released file, before the names of its parse net
PARSE_PREFIX = "mask_model."
KINDS = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
# batch norms count their batches there; with PyTorch's fixed momentum nobody reads it
COUNTER = ".num_batches_tracked"
# in the released weights, but no part of what the released network computes: shapes; None: as of the heads
UNUSED = {
    "rednet_fc.rednet.pts_net.0.weight": (1024, None),
    "rednet_fc.rednet.pts_net.0.bias": (1024,),
    "rednet_fc.rednet.pts_net.1.weight": (1,),
    "rednet_fc.rednet.pts_net.2.weight": (512, 1024),
    "rednet_fc.rednet.pts_net.2.bias": (512,),
    "rednet_fc.rednet.pts_net.3.weight": (1,),
    "rednet_fc.rednet.pts_net.4.weight": (318, 512),
    "rednet_fc.rednet.pts_net.4.bias": (318,),
}


def _double_conv(ours: str, theirs: str) -> Modules:
    return {
        f"{ours}/first/conv": f"{theirs}.conv.0",
        f"{ours}/first/norm": f"{theirs}.conv.1",
        f"{ours}/second/conv": f"{theirs}.conv.3",
        f"{ours}/second/norm": f"{theirs}.conv.4",
    }


def _conv_norm(ours: str, conv: str, norm: str) -> Modules:
    return {f"{ours}/conv": conv, f"{ours}/norm": norm}


def _tri_unet(ours: str, theirs: str) -> Modules:
    names: Modules = {}
    for level in range(5):
        for v, view in enumerate(VIEWS):
            names |= _double_conv(f"{ours}/encoder_{view}/level_{level}", f"{theirs}.conv{level + 1}_{v}")
    for level in range(4):
        names[f"{ours}/up_{level}"] = f"{theirs}.up{9 - level}"
        names |= _double_conv(f"{ours}/merge_{level}", f"{theirs}.conv{9 - level}")
        for v, view in enumerate(VIEWS):
            for part, torch_part in (("of_decoded", "W_g"), ("of_skip", "W_x"), ("attention", "psi")):
                gate = f"{theirs}.att{level + 1}_{v}.{torch_part}"
                names |= _conv_norm(f"{ours}/gate_{level}_{view}/{part}", f"{gate}.0", f"{gate}.1")
    return names


def _involution(ours: str, theirs: str) -> Modules:
    return _conv_norm(f"{ours}/reduce", f"{theirs}.conv1.conv", f"{theirs}.conv1.bn") | {
        f"{ours}/span": f"{theirs}.conv2.conv"
    }


def _rednet(ours: str, theirs: str) -> Modules:
    stem = f"{theirs}.stem"
    names = _conv_norm(f"{ours}/stem/first", f"{stem}.0.conv", f"{stem}.0.bn")
    names |= _involution(f"{ours}/stem/involution", f"{stem}.1")
    names[f"{ours}/stem/involution_norm"] = f"{stem}.2"
    names |= _conv_norm(f"{ours}/stem/second", f"{stem}.4.conv", f"{stem}.4.bn")
    for stage, size in enumerate((3, 4, 6, 3)):
        for block in range(size):
            us, them = f"{ours}/stage_{stage}_block_{block}", f"{theirs}.layer{stage + 1}.{block}"
            names |= _conv_norm(f"{us}/reduce", f"{them}.conv1", f"{them}.bn1")
            names |= _involution(f"{us}/involution", f"{them}.conv2")
            names[f"{us}/involution_norm"] = f"{them}.bn2"
            names |= _conv_norm(f"{us}/expand", f"{them}.conv3", f"{them}.bn3")
            if block == 0:
                names |= _conv_norm(f"{us}/shortcut", f"{them}.downsample.0", f"{them}.downsample.1")
    return names


def _heads(ours: str, theirs: str) -> Modules:
    views = ("lt", "ft", "rt")
    return {
        f"{ours}/identity": f"{theirs}.conv2_id",
        f"{ours}/expression": f"{theirs}.conv2_exp",
        f"{ours}/albedo": f"{theirs}.conv2_color",
        f"{ours}/light": f"{theirs}.conv2_gamma",
        f"{ours}/rotation": {f"{theirs}.conv2_rotate_{v}": 3 for v in views},
        f"{ours}/translation": {
            f"{theirs}.conv2_offset_{xyz}_{v}": len(xyz) for v in views for xyz in ("xy", "z")
        },
    }


def _resnet18(ours: str, theirs: str) -> Modules:
    names = _conv_norm(f"{ours}stem", f"{theirs}conv1", f"{theirs}bn1")
    for stage in range(4):
        for block in range(2):
            us, them = f"{ours}stage_{stage}_block_{block}", f"{theirs}layer{stage + 1}.{block}"
            names |= _conv_norm(f"{us}/first", f"{them}.conv1", f"{them}.bn1")
            names |= _conv_norm(f"{us}/second", f"{them}.conv2", f"{them}.bn2")
            if stage and not block:
                names |= _conv_norm(f"{us}/shortcut", f"{them}.downsample.0", f"{them}.downsample.1")
    return names


def _bisenet() -> Modules:
    names = _resnet18("resnet/", "cp.resnet.")
    for n in (16, 32):
        names |= _conv_norm(f"refine_{n}/refine", f"cp.arm{n}.conv.conv", f"cp.arm{n}.conv.bn")
        names |= _conv_norm(f"refine_{n}/gate", f"cp.arm{n}.conv_atten", f"cp.arm{n}.bn_atten")
        names |= _conv_norm(f"up_{n}", f"cp.conv_head{n}.conv", f"cp.conv_head{n}.bn")
    names |= _conv_norm("global_mean", "cp.conv_avg.conv", "cp.conv_avg.bn")
    names |= _conv_norm("fuse", "ffm.convblk.conv", "ffm.convblk.bn")
    names |= {"gate_reduce": "ffm.conv1", "gate_expand": "ffm.conv2"}
    for us, them in (("head", "conv_out"), ("head_16", "conv_out16"), ("head_32", "conv_out32")):
        names |= _conv_norm(f"{us}/features", f"{them}.conv.conv", f"{them}.conv.bn")
        names[f"{us}/logits"] = f"{them}.conv_out"
    return names


DF_MVR = (
    _tri_unet("tri_unet", "uuunet") | _rednet("rednet", "rednet_fc.rednet") | _heads("heads", "rednet_fc")
)
BISENET = _bisenet()
RESNET18 = _resnet18("", "")  # of torchvision: what BiSeNet's "resnet" starts from


@dataclasses.dataclass(frozen=True)
class Difference:
    """How the tensors of a file differ from those of a network: the name of each, and what else to say."""

    missing: dict[str, str]
    unknown: dict[str, str]
    misshapen: dict[str, str]
    not_finite: dict[str, str]

    def __bool__(self) -> bool:
        return any(dataclasses.astuple(self))

    def prefixed(self, prefix: str) -> "Difference":
        """With the names as they are in a file that has `prefix` before each."""
        named = dataclasses.asdict(self).items()
        return Difference(
            **{kind: {prefix + name: more for name, more in names.items()} for kind, names in named}
        )

    def lines(self) -> list[str]:
        return [f"{kind}: {text}" for kind, texts in self._texts().items() for text in texts]

    def summary(self) -> str:
        """One line: how many of each kind, and the first of them."""
        return ", ".join(
            f"{len(texts)} {kind} ({texts[0]}{', ...' if texts[1:] else ''})"
            for kind, texts in self._texts().items()
            if texts
        )

    def _texts(self) -> dict[str, list[str]]:
        return {
            kind.replace("_", " "): [name + more for name, more in names.items()]
            for kind, names in dataclasses.asdict(self).items()
        }


class WrongTensors(InputError):
    """The tensors of a file are not those of the network; `difference` names them all."""

    def __init__(self, difference: Difference):
        super().__init__(f"its tensors are not those of the network: {difference.summary()}")
        self.difference = difference


def to_torch(variables: dict, modules: Modules) -> dict:
    """A PyTorch state dict (of arrays) of the network whose `modules` are `DF_MVR` or `BISENET`.

    Without what `with_unused` adds.
    """
    tensors = {}
    for path, leaf in flatten_dict(variables).items():
        tensor = _torch_layout(leaf, _is_transposed(path))
        start = 0
        for name, size in _torch_tensors(path, modules, len(tensor)).items():
            tensors[name] = tensor[start : start + size]
            start += size
    return tensors


def from_torch(
    tensors: dict[str, np.ndarray], modules: Modules, variables: dict, partial: bool = False
) -> dict:
    """Variables (`params`, `batch_stats`) of the network whose `modules` are `DF_MVR` or `BISENET`.

    `tensors` is a PyTorch state dict that holds this network and nothing else, parse net names without
    `PARSE_PREFIX`; `variables`, arrays or their shapes, are the network's own. With `partial`, its arrays are
    kept wherever `tensors` has nothing that fits. Else raises `WrongTensors` for any difference.
    """
    difference = compare(tensors, modules, variables)
    if difference and not partial:
        raise WrongTensors(difference)
    unfit = {*difference.missing, *difference.misshapen, *difference.not_finite}
    leaves = flatten_dict(variables)
    for path, leaf in leaves.items():
        names = _torch_tensors(path, modules, leaf.shape[-1])
        if not unfit.intersection(names):
            tensor = np.concatenate([tensors[name] for name in names]).astype(np.float32)
            leaves[path] = _our_layout(tensor, leaf.shape, _is_transposed(path))
    return unflatten_dict(leaves)


def compare(tensors: dict[str, np.ndarray], modules: Modules, variables: dict) -> Difference:
    """How a PyTorch state dict differs from what the network with these variables needs."""
    wanted = jax.eval_shape(lambda variables: to_torch(variables, modules), variables)
    there = {name for name in tensors if name not in UNUSED and not name.endswith(COUNTER)}
    common = sorted(there & wanted.keys())
    return Difference(
        missing=dict.fromkeys(sorted(wanted.keys() - there), ""),
        unknown=dict.fromkeys(sorted(there - wanted.keys()), ""),
        misshapen={
            name: f" has shape {tensors[name].shape}, expected {wanted[name].shape}"
            for name in common
            if tensors[name].shape != wanted[name].shape
        },
        not_finite={name: "" for name in common if not np.isfinite(tensors[name]).all()},
    )


def split_parse_net(tensors: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The reconstruction network's tensors, and the parse net's, named as in a file of its own."""
    network: dict[str, np.ndarray] = {}
    parse_net: dict[str, np.ndarray] = {}
    for name, tensor in tensors.items():
        of = parse_net if name.startswith(PARSE_PREFIX) else network
        of[name.removeprefix(PARSE_PREFIX)] = tensor
    return network, parse_net


def with_unused(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Add what PyTorch's `load_state_dict` wants and nothing computes with: counters, unused `pts_net`."""
    norms = [name.removesuffix(".running_mean") for name in tensors if name.endswith(".running_mean")]
    counters = {name + COUNTER: np.zeros((), np.int64) for name in norms}
    head = tensors.get("rednet_fc.conv2_id.weight")
    if head is None:  # a parse net
        return tensors | counters
    unused = {
        name: np.zeros([head.shape[1] if size is None else size for size in shape], np.float32)
        for name, shape in UNUSED.items()
    }
    return tensors | counters | unused


def _torch_tensors(path: tuple[str, ...], modules: Modules, size: int) -> dict[str, int]:
    """The tensors that hold the variable at `path`, one after the other along the outputs: name to size."""
    _, *module, kind = path
    theirs = modules["/".join(module)]
    if isinstance(theirs, str):
        theirs = {theirs: size}
    return {f"{name}.{KINDS[kind]}": size for name, size in theirs.items()}


def _is_transposed(path: tuple[str, ...]) -> bool:
    return path[-1] == "kernel" and path[1] == "tri_unet" and path[2].startswith("up_")


def _torch_layout(leaf, transposed: bool):
    if transposed:  # [in, (row, column, out)] -> [in, out, row, column]
        return leaf.reshape(len(leaf), 2, 2, -1).transpose(0, 3, 1, 2)
    if leaf.ndim == 2:
        return leaf.T[:, :, None, None]
    return leaf.transpose(3, 2, 0, 1) if leaf.ndim == 4 else leaf


def _our_layout(tensor: np.ndarray, shape: tuple[int, ...], transposed: bool) -> np.ndarray:
    if transposed:
        return tensor.transpose(0, 2, 3, 1).reshape(shape)
    if len(shape) == 2:
        return tensor[:, :, 0, 0].T
    return tensor.transpose(2, 3, 1, 0) if len(shape) == 4 else tensor
