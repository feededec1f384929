#!/bin/sh
# install_torch.sh PYTHON CONSTRAINTS: the pinned torch and torchvision, in the environment of that python; the CPU build of
# torch where there is no NVIDIA GPU, because the default build carries gigabytes of CUDA.
set -eu
python=$1
constraints=$2
torch=$(grep '^torch==' "$constraints")
torchvision=$(grep '^torchvision==' "$constraints")

pip() {
    "$python" -m pip --disable-pip-version-check "$@"
}

if command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1; then
    exec "$python" -m pip install -q -c "$constraints" "$torch" "$torchvision"
fi

# 1. A CPU wheel at hand, where pip's find-links point: no download. Its dependencies come with everything else in
#    constraints.txt. torchvision without its own: they are torch, which is there, and what timm asks for too. Its wheel is
#    linked to CUDA; rgbt_seg_ros.network makes it load beside this torch.
if pip install -q --no-index --no-deps "$torch+cpu" 2>/dev/null; then
    pip install -q --no-deps "$torchvision"
    exit 0
fi

# 2. uv knows where PyTorch keeps its CPU builds, which the package index does not have.
if pip install -q "$(grep '^uv==' "$constraints")" &&
    "$python" -m uv pip install -q --python "$python" --torch-backend=cpu "$torch" "$torchvision"; then
    exit 0
fi

# 3. The default build works on a CPU as well.
echo "no CPU build of torch could be had; installing the default one, which is large" >&2
pip install -q -c "$constraints" "$torch" "$torchvision"
