"""Adam, then L-BFGS, by DeepXDE's own `Model`, as its examples do it; the error is read on the way, between iterations.

Its examples run Adam for a fixed number of iterations. Here it has half of the seconds at most, so that L-BFGS has its turn. All in
float64, as its documentation advises where L-BFGS should not stop early.
"""

import os
import time

os.environ["DDE_BACKEND"] = "pytorch"

import deepxde as dde  # noqa: E402
import torch  # noqa: E402

EVERY = 0.02  # of the seconds that have passed: how often errors are read
ITERATIONS = 20  # of L-BFGS between two moments at which it can be read; it goes on as it would without

dde.config.set_default_float("float64")


class Watch(dde.callbacks.Callback):
    """Reports the network's present values now and then, and ends the training when the time is up.

    `fields` makes {field: values} of what the network gives at points, which it takes in the unit `scale`.
    """

    def __init__(self, report, fields, scale=1.0):
        super().__init__()
        self.report, self.fields, self.scale = report, fields, scale
        self.begin, self.last, self.paused, self.until = time.perf_counter(), 0.0, 0.0, float("inf")

    def on_epoch_end(self):
        now = time.perf_counter()
        if now - self.begin - self.paused > self.until:
            self.model.stop_training = True
        if now - self.last >= max(0.25, EVERY * (now - self.begin)):
            self.read()

    def read(self):
        start = time.perf_counter()
        if self.report(self.model.train_state.step or 0, self.predict):
            self.model.stop_training, self.until = True, 0.0
        self.last = time.perf_counter()
        self.paused += self.last - start

    def predict(self, points):
        with torch.no_grad():
            return self.fields(self.model.net(torch.as_tensor(points / self.scale)).numpy())


def train(data, net, watch, seconds, iterations, variables=()):
    """Train until the watch says that time is up, or L-BFGS ends; how large the network is and how many points there are."""
    model, known = dde.Model(data, net), list(variables) or None
    watch.until = seconds / 2
    model.compile("adam", lr=1e-3, external_trainable_variables=known, verbose=0)
    model.train(iterations=iterations, callbacks=[watch], verbose=0)
    if watch.until > 0:
        watch.until = seconds
        dde.optimizers.config.LBFGS_options.update(iter_per_step=ITERATIONS, fun_per_step=2 * ITERATIONS)
        model.compile("L-BFGS", external_trainable_variables=known, verbose=0)
        model.train(callbacks=[watch], verbose=0)
        watch.read()
    count = sum(weight.numel() for weight in net.parameters())
    text = f"DeepXDE {type(net).__name__} of {count} weights, Adam then L-BFGS"
    return {"n_parameters": count + len(variables), "n_points": len(data.train_x), "network": text}


def seeded(seed):
    dde.config.set_random_seed(seed)
