"""The released networks in PyTorch, tensor for tensor: yardstick of our speed and reference of our tests.

Names and shapes of the parameters are those of the released files: `load_state_dict` takes them, and what
`python -m dfmvr_jax.commands.export_torch` writes. Images are `[b, channels, h, w]` as PyTorch has them.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class DoubleConv(nn.Module):
    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        layers = []
        for channels in (inputs, outputs):
            layers += [nn.Conv2d(channels, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
        self.conv = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class AttentionGate(nn.Module):
    def __init__(self, channels: int):
        super().__init__()

        def project(inputs: int, outputs: int) -> list[nn.Module]:
            return [nn.Conv2d(inputs, outputs, 1), nn.BatchNorm2d(outputs)]

        self.W_g = nn.Sequential(*project(channels, channels // 2))
        self.W_x = nn.Sequential(*project(channels, channels // 2))
        self.psi = nn.Sequential(*project(channels // 2, 1), nn.Sigmoid())

    def forward(self, decoded: Tensor, skip: Tensor) -> Tensor:
        return skip * self.psi(torch.relu(self.W_g(decoded) + self.W_x(skip)))


class TriUNet(nn.Module):
    def __init__(self, width: int = 64):
        super().__init__()
        for level in range(5):
            for view in range(3):
                inputs = width << (level - 1) if level else 4
                setattr(self, f"conv{level + 1}_{view}", DoubleConv(inputs, width << level))
        for level in range(4):
            features = width << level
            inputs = 3 * (features << 1) if level == 3 else features << 1
            setattr(self, f"up{9 - level}", nn.ConvTranspose2d(inputs, features, 2, stride=2))
            setattr(self, f"conv{9 - level}", DoubleConv(4 * features, features))  # that of the top is unused
            for view in range(3):
                setattr(self, f"att{level + 1}_{view}", AttentionGate(features))

    def forward(self, left: Tensor, front: Tensor, right: Tensor) -> Tensor:
        skips = []
        for view, x in enumerate((left, front, right)):
            levels = []
            for level in range(5):
                x = getattr(self, f"conv{level + 1}_{view}")(functional.max_pool2d(x, 2) if level else x)
                levels.append(x)
            skips.append(levels)
        x = torch.cat([levels[4] for levels in skips], 1)
        for level in reversed(range(4)):
            up = getattr(self, f"up{9 - level}")(x)
            gates = [getattr(self, f"att{level + 1}_{view}") for view in range(3)]
            x = torch.cat([up, *(gate(up, levels[level]) for gate, levels in zip(gates, skips))], 1)
            if level:
                x = getattr(self, f"conv{9 - level}")(x)
        return x


class ConvNorm(nn.Module):
    """Convolution without bias and batch norm."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.bn(self.conv(x)))


class Involution(nn.Module):
    def __init__(self, channels: int, size: int, stride: int = 1, group_channels: int = 16):
        super().__init__()
        self.size, self.stride, self.groups = size, stride, max(1, channels // group_channels)
        self.conv1 = ConvNorm(channels, channels // 4, 1)
        self.conv2 = nn.ModuleDict({"conv": nn.Conv2d(channels // 4, size * size * self.groups, 1)})

    def forward(self, x: Tensor) -> Tensor:
        pooled = functional.avg_pool2d(x, self.stride) if self.stride > 1 else x
        kernels = self.conv2["conv"](self.conv1(pooled))
        b, _, h, w = kernels.shape
        kernels = kernels.view(b, self.groups, 1, self.size**2, h, w)
        patches = functional.unfold(x, self.size, padding=self.size // 2, stride=self.stride)
        patches = patches.view(b, self.groups, -1, self.size**2, h, w)
        return (kernels * patches).sum(3).view(b, -1, h, w)


class Bottleneck(nn.Module):
    def __init__(self, inputs: int, features: int, stride: int):
        super().__init__()
        outputs = 4 * features
        self.conv1, self.bn1 = nn.Conv2d(inputs, features, 1, bias=False), nn.BatchNorm2d(features)
        self.conv2, self.bn2 = Involution(features, 7, stride), nn.BatchNorm2d(features)
        self.conv3, self.bn3 = nn.Conv2d(features, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride > 1 or inputs != outputs:
            shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return torch.relu(y + (self.downsample(x) if self.downsample else x))


class RedNet(nn.Module):
    def __init__(self, inputs: int, width: int = 64):
        super().__init__()
        half = width // 2
        self.stem = nn.Sequential(
            ConvNorm(inputs, half, 3, 2),
            Involution(half, 3),
            nn.BatchNorm2d(half),
            nn.ReLU(),
            ConvNorm(half, width, 3),
        )
        channels = width
        for stage, size in enumerate((3, 4, 6, 3)):
            blocks = []
            for block in range(size):
                features = width << stage
                blocks.append(Bottleneck(channels, features, 2 if stage and not block else 1))
                channels = 4 * features
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        # in the released files, used nowhere
        hidden = [nn.Linear(channels, 1024), nn.PReLU(), nn.Linear(1024, 512), nn.PReLU()]
        self.pts_net = nn.Sequential(*hidden, nn.Linear(512, 318))

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(self.stem(x), 3, 2, 1)
        for stage in range(4):
            x = getattr(self, f"layer{stage + 1}")(x)
        return x.mean((2, 3), keepdim=True)


class CoefficientNet(nn.Module):
    """RedNet and the heads; a dict of `[b, n]` named as in the parity fixture."""

    def __init__(self, inputs: int, width: int = 64, dimensions: tuple[int, int, int] = (80, 64, 80)):
        super().__init__()
        self.rednet = RedNet(inputs, width)
        sizes = dict(zip(("id", "exp", "color"), dimensions)) | {"gamma": 27}
        for view in ("lt", "ft", "rt"):
            sizes |= {f"rotate_{view}": 3, f"offset_xy_{view}": 2, f"offset_z_{view}": 1}
        self.heads = tuple(sizes)
        for name, size in sizes.items():
            setattr(self, f"conv2_{name}", nn.Conv2d(32 * width, size, 1))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = self.rednet(x)
        return {name: getattr(self, f"conv2_{name}")(features).flatten(1) for name in self.heads}


class BasicBlock(nn.Module):
    def __init__(self, inputs: int, features: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, features, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(features, features, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(features), nn.BatchNorm2d(features)
        self.downsample = None
        if stride > 1 or inputs != features:
            shortcut = nn.Conv2d(inputs, features, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(features))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (self.downsample(x) if self.downsample else x))


class ResNet18(nn.Module):
    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential

    def __init__(self, width: int = 64):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width)
        for stage in range(4):
            features, inputs = width << stage, width << max(stage - 1, 0)
            first = BasicBlock(inputs, features, 2 if stage else 1)
            setattr(self, f"layer{stage + 1}", nn.Sequential(first, BasicBlock(features, features, 1)))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.layer1(functional.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1))
        at_8 = self.layer2(x)
        at_16 = self.layer3(at_8)
        return at_8, at_16, self.layer4(at_16)


class AttentionRefinement(nn.Module):
    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv = ConvNorm(inputs, outputs, 3)
        self.conv_atten, self.bn_atten = nn.Conv2d(outputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x * torch.sigmoid(self.bn_atten(self.conv_atten(x.mean((2, 3), keepdim=True))))


class ContextPath(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.resnet = ResNet18(width)
        features = 2 * width
        self.arm16, self.arm32 = (AttentionRefinement(n * width, features) for n in (4, 8))
        self.conv_head32, self.conv_head16 = (ConvNorm(features, features, 3) for _ in range(2))
        self.conv_avg = ConvNorm(8 * width, features, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        at_8, at_16, at_32 = self.resnet(x)
        up_32 = self.arm32(at_32) + self.conv_avg(at_32.mean((2, 3), keepdim=True))
        up_32 = self.conv_head32(functional.interpolate(up_32, at_16.shape[2:]))
        up_16 = self.arm16(at_16) + up_32
        up_16 = self.conv_head16(functional.interpolate(up_16, at_8.shape[2:]))
        return at_8, up_16, up_32


class FeatureFusion(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.convblk = ConvNorm(4 * width, 4 * width, 1)
        self.conv1 = nn.Conv2d(4 * width, width, 1, bias=False)
        self.conv2 = nn.Conv2d(width, 4 * width, 1, bias=False)

    def forward(self, at_8: Tensor, context: Tensor) -> Tensor:
        x = self.convblk(torch.cat([at_8, context], 1))
        return x * torch.sigmoid(self.conv2(torch.relu(self.conv1(x.mean((2, 3), keepdim=True))))) + x


class ParseHead(nn.Module):
    def __init__(self, inputs: int, features: int, classes: int):
        super().__init__()
        self.conv, self.conv_out = ConvNorm(inputs, features, 3), nn.Conv2d(features, classes, 1, bias=False)

    def forward(self, x: Tensor, size: torch.Size) -> Tensor:
        return functional.interpolate(self.conv_out(self.conv(x)), size, mode="bilinear", align_corners=True)


class BiSeNet(nn.Module):
    """Logits of the main head, the 1/16 head and the 1/32 head."""

    def __init__(self, classes: int = 10, width: int = 64):
        super().__init__()
        self.cp, self.ffm = ContextPath(width), FeatureFusion(width)
        self.conv_out = ParseHead(4 * width, 4 * width, classes)
        self.conv_out16, self.conv_out32 = (ParseHead(2 * width, width, classes) for _ in range(2))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        at_8, up_16, up_32 = self.cp(x)
        fused, size = self.ffm(at_8, up_16), x.shape[2:]
        return self.conv_out(fused, size), self.conv_out16(up_16, size), self.conv_out32(up_32, size)


class ReleasedNet(nn.Module):
    """Everything in the released file: the state dict has its 1200 names."""

    def __init__(
        self,
        width: int = 64,
        dimensions: tuple[int, int, int] = (80, 64, 80),
        classes: int = 10,
        parse_width: int = 64,
    ):
        super().__init__()
        self.uuunet = TriUNet(width)
        self.rednet_fc = CoefficientNet(4 * width, width, dimensions)
        self.mask_model = BiSeNet(classes, parse_width)

    def forward(self, left: Tensor, front: Tensor, right: Tensor) -> dict[str, Tensor]:
        return self.rednet_fc(self.uuunet(left, front, right))
