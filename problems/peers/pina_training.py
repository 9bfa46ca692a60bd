"""Adam by PINA's own `PINN` and `Trainer`; the error is read on the way."""

import logging
import time
import warnings

import torch
from lightning.pytorch.callbacks import Callback
from pina import LabelTensor, Trainer
from pina.optim import TorchOptimizer
from pina.solver import PINN

EVERY = 0.02  # of the seconds that have passed: how often errors are read


class Watch(Callback):
    def __init__(self, report, labels, fields, model):
        self.report, self.labels, self.fields, self.model = report, labels, fields, model
        self.begin, self.last = time.perf_counter(), 0.0

    def on_train_epoch_end(self, trainer, *_):
        now = time.perf_counter()
        if now - self.last < max(0.25, EVERY * (now - self.begin)):
            return
        trainer.should_stop = self.report(trainer.current_epoch, self.predict)
        self.last = time.perf_counter()

    def predict(self, points):
        with torch.no_grad():
            values = self.model(LabelTensor(torch.as_tensor(points, dtype=torch.float32), self.labels))
        return self.fields(values.as_subclass(torch.Tensor).numpy())


def train(problem, model, fields, report, rate, epochs, decay=0.0):
    """Train for `epochs` of Adam, or until the watch says that time is up."""
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    optimizer = TorchOptimizer(torch.optim.Adam, lr=rate, weight_decay=decay)
    solver = PINN(problem, model, optimizer=optimizer)
    watch = Watch(report, list(problem.input_variables), fields, model)
    trainer = Trainer(
        solver, max_epochs=epochs, accelerator="cpu", callbacks=[watch], logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.train()
    report(trainer.current_epoch, watch.predict)
    count = sum(weight.numel() for weight in model.parameters())
    text = f"PINA FeedForward of {count} weights, Adam"
    points = sum(len(own) for own in problem.discretised_domains.values())
    unknown = len(getattr(problem, "unknown_parameters", ()))
    return {"n_parameters": count + unknown, "n_points": points, "network": text}
