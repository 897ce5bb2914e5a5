"""Train with the loop that a reader of the paper would write; the framework's speed is compared with it.

The loop follows the paper's listing (section VII). PIL opens, converts and resizes every image each time it is needed,
torchvision transforms it, training and test share a batch size, the precision is float32 in torch's default memory
layout, and every epoch computes a frozen backbone's features again.
"""

from itertools import islice

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms as T

from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.models.classifier import Classifier


class Images(Dataset[tuple[Tensor, int]]):
    """The images of a part, float32 (3, size, size), read from their files, and their labels.

    Args:
        data: the data module, set up; its files must be images that PIL can convert to RGB.
        part: "train" or "test".
    """

    def __init__(self, data: SliceDataModule, part: str) -> None:
        table = data.table.iloc[data.rows[part]]
        root = data.dataset.listing().root
        self.paths = [root / path for path in table["path"]]
        self.labels = table["label"].tolist()
        settings = data.transforms
        steps = [T.Resize((data.size, data.size)), T.ToTensor()]
        if settings.flip and part == "train":
            steps.insert(1, T.RandomHorizontalFlip(settings.flip))
        if settings.normalize:
            steps.append(T.Normalize(settings.mean.flatten().tolist(), settings.std.flatten().tolist()))
        self.transform = T.Compose(steps)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        with Image.open(self.paths[index]) as image:
            return self.transform(image.convert("RGB")), self.labels[index]


class PlainLoop:
    """Train and test without the framework.

    Args:
        model: the network; only its layers, not its memory layout or its training steps, are used.
        data: the data module, set up.
        device: the device to compute on.
    """

    def __init__(self, model: Classifier, data: SliceDataModule, device: torch.device) -> None:
        self.device = device
        self.model = model.to(device).to(memory_format=torch.contiguous_format)
        self.optimizer = model.configure_optimizers()
        self.loaders = {
            part: DataLoader(Images(data, part), data.batch_size, shuffle=part == "train") for part in ("train", "test")
        }

    def train(self, batches: int | None = None) -> int:
        """Train on the first `batches` of a newly shuffled epoch, or on all of it, and return the number of images."""
        self.model.train()
        count = 0
        for images, labels in islice(self.loaders["train"], batches):
            self.optimizer.zero_grad()
            loss = F.cross_entropy(self.model(images.to(self.device)), labels.to(self.device))
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            count += len(labels)
        return count

    @torch.no_grad()
    def test(self, batches: int | None = None) -> int:
        """Classify the first `batches` of the test part, or all of it, and return the number of images."""
        self.model.eval()
        batches_of_images = (images.to(self.device) for images, _ in islice(self.loaders["test"], batches))
        return sum(len(self.model(images).argmax(1).cpu()) for images in batches_of_images)
