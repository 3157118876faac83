"""Peak rates of known GPUs by their data sheets: dense bfloat16 products, and memory bandwidth."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """The data sheet of a GPU.

    Args:
        flops: peak FLOP/s of dense products in bfloat16, summed in float32.
        bandwidth: bytes per second to and from its memory.
        memory: size in bytes.
        source: where the numbers come from. Data sheets that quote sparse FLOPs quote twice the dense ones.
    """

    flops: float
    bandwidth: float
    memory: float
    source: str


H100 = "NVIDIA H100 data sheet, half of its sparse FLOPs"
H200 = "NVIDIA H200 data sheet, half of its sparse FLOPs"
A100 = "NVIDIA A100 data sheet"

# Keyed by what torch.cuda.get_device_name returns. Variants of a GPU differ in clock, memory and power limit, and so in
# their peaks: a guess from a part of the name would give an MFU that is off by a third.
GPUS = {
    "NVIDIA H100 80GB HBM3": Gpu(989.4e12, 3.35e12, 80e9, f"{H100}, SXM"),
    "NVIDIA H100 PCIe": Gpu(756.5e12, 2.0e12, 80e9, f"{H100}, PCIe (product brief PB-11133)"),
    "NVIDIA H100 NVL": Gpu(835.5e12, 3.9e12, 94e9, f"{H100}, NVL"),
    "NVIDIA H200": Gpu(989.4e12, 4.8e12, 141e9, f"{H200}, SXM"),
    "NVIDIA H200 NVL": Gpu(835.5e12, 4.8e12, 141e9, f"{H200}, NVL"),
    "NVIDIA GH200 480GB": Gpu(989.4e12, 4.0e12, 96e9, "NVIDIA GH200 data sheet, half of its sparse FLOPs"),
    "NVIDIA B200": Gpu(2250e12, 8.0e12, 180e9, "NVIDIA HGX B200 data sheet, a sixteenth of 8 GPUs' sparse FLOPs"),
    "NVIDIA A100-SXM4-40GB": Gpu(312e12, 1.555e12, 40e9, f"{A100}, SXM 40 GB"),
    "NVIDIA A100-SXM4-80GB": Gpu(312e12, 2.039e12, 80e9, f"{A100}, SXM 80 GB"),
    "NVIDIA A100-PCIE-40GB": Gpu(312e12, 1.555e12, 40e9, f"{A100}, PCIe 40 GB"),
    "NVIDIA A100 80GB PCIe": Gpu(312e12, 1.935e12, 80e9, f"{A100}, PCIe 80 GB"),
    "NVIDIA L4": Gpu(121e12, 0.3e12, 24e9, "NVIDIA L4 data sheet, half of its sparse FLOPs"),
    "NVIDIA L40S": Gpu(362e12, 0.864e12, 48e9, "NVIDIA L40S data sheet"),
}


def utilisation(device: str, precision: str, flops: float, seconds: float) -> tuple[float | None, str]:
    """Share of a device's peak reached by `flops` in `seconds`, and the peak in words; None, and why, if not known.

    Args:
        device: name as torch gives it.
        precision: type in which products are computed.

    >>> utilisation("NVIDIA H100 80GB HBM3", "bfloat16", 494.7e12, 1.0)[0]
    0.5
    >>> utilisation("2 CPU cores", "bfloat16", 1e12, 1.0)
    (None, 'the peak of 2 CPU cores is not known')
    """
    if device not in GPUS:
        return None, f"the peak of {device} is not known"
    # Other types have other peaks, and a share of the wrong one would look better or worse than it is.
    if precision != "bfloat16":
        return None, f"the peak is known for products in bfloat16, and these are in {precision}"
    peak = GPUS[device]
    return flops / seconds / peak.flops, f"{peak.flops / 1e12:.0f} TFLOP/s in bfloat16, {peak.source}"
