"""Makes the keras-*.onnx files of this folder, their rows and Keras' own predictions; see README.md."""

import json
import os
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import keras
import numpy as np
from keras import layers

HERE = Path(__file__).parent
COUNT = 200

keras.utils.set_random_seed(7)
random = np.random.default_rng(7)


def write(name, model, inputs):
    """The model, rows and what Keras says of each."""
    model.export(HERE / f"keras-{name}.onnx", format="onnx", verbose=False)
    answers = model.predict(inputs, verbose=0)
    several = answers if isinstance(answers, list) else [answers]
    table = np.concatenate([np.asarray(each).reshape(len(inputs), -1) for each in several], 1)
    key = model.inputs[0].name
    lines(f"keras-{name}.rows.jsonl", [{key: short(row)} for row in inputs.tolist()])
    lines(f"keras-{name}.expected.jsonl", [[float(f"{each:.9g}") for each in row] for row in table.tolist()])


def short(values):
    """Lists of numbers, or of lists, with the three digits that they were rounded to."""
    return [short(each) if isinstance(each, list) else round(each, 3) for each in values]


def lines(name, rows):
    """A file with one JSON value a line."""
    (HERE / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


features = np.round(random.normal(size=(COUNT, 6)), 3).astype("float32")
late = (features[:, 0] * 2 + features[:, 1] * features[:, 2] > 0).astype("float32")
taken = keras.Input((6,), name="features")
hidden = layers.Dropout(0.1)(layers.BatchNormalization()(layers.Dense(16, activation="relu")(taken)))
model = keras.Model(taken, layers.Dense(1, activation="sigmoid", name="late")(hidden))
model.compile("adam", "binary_crossentropy")
model.fit(features, late, epochs=20, verbose=0)
write("sigmoid", model, features)

images = np.round(random.uniform(size=(COUNT, 8, 8, 1)), 2).astype("float32")
kinds = np.digitize(images[:, :4].mean((1, 2, 3)) - images[:, 4:].mean((1, 2, 3)), [-0.03, 0.03])
taken = keras.Input((8, 8, 1), name="image")
hidden = layers.Flatten()(layers.MaxPooling2D()(layers.Conv2D(4, 3, activation="gelu")(taken)))
model = keras.Model(taken, layers.Dense(3, activation="softmax", name="kind")(hidden))
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(images, kinds, epochs=20, verbose=0)
write("image", model, images)
