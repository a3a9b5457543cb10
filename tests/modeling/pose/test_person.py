"""Which detection is the person, and boxes of whole frames."""

import numpy as np
import pytest
import torch

from modeling.pose.person import PersonDetector, WholeFrame, choose_person

BOXES = torch.tensor([[0, 0, 100, 100], [10, 10, 60, 60], [5, 5, 44, 45], [0, 0, 90, 90.0]])


def chosen(scores: list[float], labels: tuple[int, ...] = (1, 1, 1, 1)) -> list[float] | None:
    box = choose_person(BOXES, torch.tensor(labels), torch.tensor(scores))
    return None if box is None else box.tolist()


def test_the_surest_person_wins() -> None:
    assert chosen([0.6, 0.9, 0.3, 0.7]) == BOXES[1].tolist()


def test_only_people_that_are_large_and_sure_enough_count() -> None:
    assert chosen([0.6, 0.9, 0.3, 0.7], labels=(1, 3, 1, 18)) == BOXES[0].tolist()
    assert chosen([0.6, 0.0, 0.99, 0.0]) == BOXES[0].tolist()  # the third is 39 x 40 pixels
    assert chosen([0.49, 0.1, 0.99, 0.49]) is None
    assert chosen([0.5, 0.1, 0.1, 0.1]) == BOXES[0].tolist()
    assert choose_person(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0)) is None


def test_a_whole_frame_is_its_own_box() -> None:
    (box,) = WholeFrame().boxes([np.zeros((20, 30, 3), np.uint8)])
    assert box is not None and box.tolist() == [0, 0, 30, 20]


def test_the_detector_takes_torchvisions_weights() -> None:
    from torchvision.models.detection import fasterrcnn_resnet50_fpn

    weights = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None).state_dict()
    detector = PersonDetector(weights, torch.device("cpu"))
    assert len(detector.boxes([np.zeros((64, 80, 3), np.uint8)])) == 1
    with pytest.raises(RuntimeError, match="rpn"):
        PersonDetector({name: w for name, w in weights.items() if "rpn" not in name}, torch.device("cpu"))
