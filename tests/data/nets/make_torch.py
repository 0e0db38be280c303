"""Makes the torch-*.onnx files of this folder, their rows and torch's own predictions; see README.md."""

import json
from pathlib import Path

import torch
from torch import nn

HERE = Path(__file__).parent
ROWS = torch.export.Dim("rows")
COUNT = 200

torch.manual_seed(7)
torch.set_num_threads(1)


def trained(model, inputs, wanted, loss):
    """The model after some steps, so that its answers differ from row to row."""
    steps = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(200):
        steps.zero_grad()
        loss(model(inputs), wanted).backward()
        steps.step()
    return model.eval()


def write(name, model, inputs, input_name, output_names=None, *, second_file=False):
    """The model, and what torch says of each row."""
    with torch.inference_mode():
        answers = model(inputs)
    torch.onnx.export(
        model,
        (inputs[:2],),
        HERE / f"torch-{name}.onnx",
        input_names=[input_name],
        output_names=output_names,
        dynamic_shapes=({0: ROWS},),
        external_data=second_file,
        dynamo=True,
    )
    several = answers if isinstance(answers, tuple) else (answers,)
    table = torch.cat([each.float().reshape(len(inputs), -1) for each in several], 1)
    lines(f"torch-{name}.expected.jsonl", [[float(f"{each:.9g}") for each in row] for row in table.tolist()])


def rows(input_name, inputs):
    """The rows as events have them, with the three digits that they were rounded to."""
    lines(f"torch-{input_name}.rows.jsonl", [{input_name: short(row)} for row in inputs.tolist()])


def short(values):
    """Lists of numbers, or of lists, with three digits."""
    return [short(each) if isinstance(each, list) else round(each, 3) for each in values]


def lines(name, rows):
    """A file with one JSON value a line."""
    (HERE / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def rounded(tensor):
    """To three digits, so that the rows are short as text."""
    return torch.round(tensor, decimals=3)


class Tokens(nn.Module):
    """The mean of the embeddings of twelve tokens; 0 is padding."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(50, 8, padding_idx=0)
        self.last = nn.Linear(8, 1)

    def forward(self, tokens):
        return torch.sigmoid(self.last(self.embed(tokens).mean(1)))


class Sequence(nn.Module):
    """A GRU over twelve readings of two sensors, and its last state."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(2, 8, batch_first=True)
        self.last = nn.Linear(8, 1)

    def forward(self, readings):
        states, _ = self.gru(readings)
        return self.last(states[:, -1])


class Heads(nn.Module):
    """A low, a middle and a high prediction, in outputs of their own."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Linear(6, 16), nn.ReLU())
        self.low, self.middle, self.high = (nn.Linear(16, 1) for _ in range(3))

    def forward(self, features):
        hidden = self.first(features)
        return self.low(hidden), self.middle(hidden), self.high(hidden)


def mlp(width, *last):
    """A net of two hidden layers."""
    return nn.Sequential(
        nn.Linear(6, 16), nn.ReLU(), nn.BatchNorm1d(16), nn.Dropout(0.1), nn.Linear(16, width), *last
    )


features = rounded(torch.randn(COUNT, 6))
rows("features", features)
amount = features[:, :1] * 2 + features[:, 1:2] * features[:, 2:3]

sigmoid = trained(mlp(1, nn.Sigmoid()), features, (amount > 0).float(), nn.BCELoss())
write("sigmoid", sigmoid, features, "features", ["probability"])
write("external", sigmoid, features, "features", ["probability"], second_file=True)

kinds = (amount.squeeze(1) > -1).long() + (amount.squeeze(1) > 1).long()
logits = trained(mlp(3), features, kinds, nn.CrossEntropyLoss())
write("logits", logits, features, "features", ["logits"])
write("unnamed", logits, features, "features")

half = trained(mlp(1, nn.Sigmoid()), features, (amount > 0).float(), nn.BCELoss()).half()
write("half", half, features.half(), "features", ["probability"])

heads = trained(
    Heads(),
    features,
    amount,
    lambda found, wanted: sum(
        torch.maximum(level * (wanted - each), (level - 1) * (wanted - each)).mean()
        for level, each in zip((0.1, 0.5, 0.9), found, strict=True)
    ),
)
write("heads", heads, features, "features", ["low", "middle", "high"])

readings = rounded(torch.randn(COUNT, 12, 2))
rows("readings", readings)
total = readings[:, -4:, 0].sum(1, keepdim=True)
write("sequence", trained(Sequence(), readings, total, nn.MSELoss()), readings, "readings", ["forecast"])

tokens = torch.randint(0, 50, (COUNT, 12))
rows("tokens", tokens)
has_seven = (tokens == 7).any(1, keepdim=True).float()
write("tokens", trained(Tokens(), tokens, has_seven, nn.BCELoss()), tokens, "tokens", ["probability"])
