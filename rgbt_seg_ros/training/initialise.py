"""The weights a run starts from."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from rgbt_seg_ros.errors import SettingError, in_words
from rgbt_seg_ros.network import FusionNetwork, ModelSpec, read_model
from rgbt_seg_ros.network.builtin import new_network
from rgbt_seg_ros.network.torchvision_shim import import_timm

HUB_TAGS = {
    "atto": "fcmae_ft_in1k",
    "femto": "fcmae_ft_in1k",
    "pico": "fcmae_ft_in1k",
    "nano": "fcmae_ft_in22k_in1k_384",
    "tiny": "fcmae_ft_in22k_in1k_384",
    "base": "fcmae_ft_in22k_in1k_384",
    "large": "fcmae_ft_in22k_in1k",
}
"""ImageNet weights of each variant on the hub; the smallest three have none from ImageNet-22k."""


def initial_network(
    initialisation: str, spec: ModelSpec, seed: int, deep_supervision: bool, show: bool = True
) -> tuple[FusionNetwork, str]:
    """Return a network to train, and in words what it starts from.

    Args:
        initialisation: ``auto``, ``imagenet``, ``random`` or the path of a model file.
        spec: Variant and classes.
        seed: Of what is random.
        deep_supervision: Whether the heads that only training uses are wanted.
        show: Whether to print that ``auto`` found no weights.

    Raises:
        UserError: ``imagenet`` and the weights cannot be downloaded, or a file that is not a model of this variant and these
            classes.
    """
    network = _random(spec, seed, deep_supervision)
    if initialisation == "random":
        return network, "random weights"
    if initialisation not in ("auto", "imagenet"):
        return network, _from_file(network, initialisation, spec)
    try:
        for encoder, channels in ((network.rgb_encoder, 3), (network.thermal_encoder, 1)):
            encoder.load_state_dict(_pretrained(spec.variant, channels).state_dict())
    except Exception as error:  # the hub's client raises a dozen kinds of errors, none of them of one family
        reason = in_words(error)[:200]
        if initialisation == "imagenet":
            raise SettingError(
                "initialisation",
                f"'imagenet', but the weights of convnextv2_{spec.variant} cannot be downloaded ({reason}); "
                "'auto' starts from random weights instead",
            ) from error
        if show:
            words = f"no ImageNet weights for convnextv2_{spec.variant} ({reason}); starting from random weights"
            print(words, flush=True)
        return _random(spec, seed, deep_supervision), "random weights"
    return network, f"ImageNet weights convnextv2_{spec.variant}.{HUB_TAGS[spec.variant]} (timm) in both encoders"


def _random(spec: ModelSpec, seed: int, deep_supervision: bool) -> FusionNetwork:
    network = new_network(spec, seed)
    if deep_supervision:
        return network
    bare = FusionNetwork(spec.variant, spec.num_classes, deep_supervision=False)
    bare.load_state_dict({key: tensor for key, tensor in network.state_dict().items() if key in bare.state_dict()})
    return bare.eval()


def _pretrained(variant: str, channels: int) -> nn.Module:
    """Return an encoder with ImageNet weights; timm sums the first layer over its inputs for one channel."""
    module: nn.Module = import_timm().create_model(
        f"convnextv2_{variant}.{HUB_TAGS[variant]}", features_only=True, pretrained=True, in_chans=channels
    )
    return module


def _from_file(network: FusionNetwork, path: str, spec: ModelSpec) -> str:
    theirs, source = read_model(path)
    if (theirs.variant, theirs.classes) != (spec.variant, spec.classes):
        raise SettingError(
            "initialisation",
            f"{path}: its variant is {theirs.variant} and its classes are {', '.join(c.name for c in theirs.classes)}",
            f"{spec.variant} and {', '.join(c.name for c in spec.classes)}",
        )
    state = {**network.state_dict(), **{k: v for k, v in source.state_dict().items() if k in network.state_dict()}}
    network.load_state_dict(state)
    # What that file itself was begun from stands in it; repeated here, the text would grow with every fine-tuning.
    origin = theirs.provenance.source.partition(", from ")[0] or "of unknown origin"
    return f"the model file {Path(path).name} ({origin})"


def prepare_for_training(network: FusionNetwork, device: torch.device) -> FusionNetwork:
    """Return the network on its device, channels last, in training mode."""
    # torch's stubs know memory_format only together with a tensor.
    moved: FusionNetwork = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return moved.train()
