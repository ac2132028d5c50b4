"""The peer of benchmarks/training.py: torchvision's model, a plain PyTorch DataLoader over NPZ
files, the way of the source documents.

Run by an interpreter that has torch and torchvision: `python torch_peer.py MODEL NPZ_FOLDER BATCH
PRECISION STEPS WORKERS`; prints one JSON line. Preprocessing is the same raw_robust, here in numpy,
in the data set's __getitem__.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch


def models():
    """torchvision's; where its compiled operators are missing (a torch that came without them),
    they are only declared."""
    try:
        import torchvision
    except RuntimeError:
        for name in ("nms", "qnms"):
            arguments = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            torch.library.define(f"torchvision::{name}", arguments)
        import torchvision
    return torchvision.models


class Cutouts(torch.utils.data.Dataset):
    def __init__(self, folder: Path):
        self.paths = sorted(folder.glob("*.npz"))
        side = np.load(self.paths[0])["cutout"].shape[0]
        y, x = np.mgrid[:side, :side] - (side - 1) / 2
        r, half = np.hypot(x, y), side // 2
        self.ring = (r >= 0.65 * half) & (r < 0.90 * half)

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, i):
        with np.load(self.paths[i], allow_pickle=False) as archive:
            image = np.nan_to_num(archive["cutout"])
        for band in range(3):
            middle = np.median(image[self.ring, band])
            image[..., band] = np.clip(
                (image[..., band] - middle)
                / (np.median(np.abs(image[self.ring, band] - middle)) + 1e-8),
                -10,
                10,
            )
        return torch.from_numpy(image.transpose(2, 0, 1).copy()), torch.tensor(float(i % 11 == 0))


def main() -> None:
    name, folder, batch, precision, steps, workers = (
        sys.argv[1],
        Path(sys.argv[2]),
        int(sys.argv[3]),
        sys.argv[4],
        int(sys.argv[5]),
        int(sys.argv[6]),
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = getattr(models(), name)(num_classes=1).to(device, memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=1e-4)
    loss = torch.nn.BCEWithLogitsLoss()

    def step(images, labels):
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
            value = loss(model(images)[:, 0].float(), labels)
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        optimiser.step()
        return float(value.detach())

    loader = torch.utils.data.DataLoader(
        Cutouts(folder),
        batch,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device == "cuda",
    )
    began, count = time.perf_counter(), 0
    for images, _ in loader:
        count += len(images)
    loading = count / (time.perf_counter() - began)
    images, labels = (x.to(device) for x in next(iter(loader)))
    images = images.contiguous(memory_format=torch.channels_last)
    step(images, labels)
    computing, fed = [], []
    for _ in range(steps):
        began = time.perf_counter()
        step(images, labels)
        computing.append(time.perf_counter() - began)
    for _ in range(2):
        began, count = time.perf_counter(), 0
        for images, labels in loader:
            step(images.to(device, memory_format=torch.channels_last), labels.to(device))
            count += len(labels)
            if count >= steps * batch:
                break
        fed.append(count / (time.perf_counter() - began))
    kind = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    found = {
        "torch": torch.__version__,
        "device": kind,
        "loader_alone": loading,
        "computing": batch / min(computing),
        "fed_from_npz": max(fed),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
