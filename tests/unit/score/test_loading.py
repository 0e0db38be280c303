"""The model of a process, loaded once."""

from __future__ import annotations

import asyncio
import traceback

import pytest

from everscore.failures import Configuration, Failure, ManifestError, Stage, Transient
from everscore.score import loading as model_source
from everscore.score.loading import ModelSource
from tests.fakes import FakeModel
from tests.support.onnx_files import FLOAT, echo, write


class Loader:
    """Stands for the loading of a folder."""

    def __init__(self) -> None:
        self.calls = 0
        self.raises: Exception | None = None

    def __call__(self, folder, *, threads):
        self.calls += 1
        if self.raises:
            raise self.raises
        return FakeModel()


@pytest.fixture
def loader(monkeypatch) -> Loader:
    """What stands for loading, in its place."""
    made = Loader()
    monkeypatch.setattr(model_source, "load_model", made)
    return made


async def test_many_batches_share_one_load(loader, tmp_path) -> None:
    """The first batches of all partitions come at once; the model is loaded once for them."""
    source = ModelSource(tmp_path / "toy", threads=1)
    models = await asyncio.gather(*(source.get() for _ in range(8)))
    assert loader.calls == 1
    assert len({id(model) for model in models}) == 1


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Transient(Stage.SCORE, "model missing"), Transient),
        (ManifestError("manifest.json: the field 'name' is missing."), Configuration),
        (MemoryError("too large"), Transient),
    ],
)
async def test_whatever_keeps_it_from_loading_is_a_retryable_failure(loader, tmp_path, error, kind) -> None:
    """A missing file, a wrong manifest, anything else: events wait, and none is held to be guilty."""
    loader.raises = error
    with pytest.raises(Failure) as raised:
        await ModelSource(tmp_path / "toy", threads=1).get()
    assert isinstance(raised.value, kind)
    assert str(error.args[0]) in str(raised.value)


async def test_a_failed_load_is_tried_again_only_after_a_while(loader, tmp_path, monkeypatch) -> None:
    """Not by every batch; and once it is fixed the model is there."""
    source = ModelSource(tmp_path / "toy", threads=1)
    loader.raises = Transient(Stage.SCORE, "model missing")
    for _ in range(5):
        with pytest.raises(Transient):
            await source.get()
    assert loader.calls == 1
    monkeypatch.setattr(model_source, "_RELOAD_SECONDS", 0.0)
    with pytest.raises(Transient):
        await source.get()
    loader.raises = None
    assert (await source.get()).name == "toy"
    assert loader.calls == 3


async def test_an_empty_folder_is_a_missing_model(tmp_path) -> None:
    """Without any of the files the failure says so, through the real loader."""
    with pytest.raises(Failure):
        await ModelSource(tmp_path / "none", threads=1).get()


async def test_a_failure_told_to_many_batches_holds_none_of_them(loader, tmp_path) -> None:
    """The same failure raised for batch after batch keeps no frames, and so no events, of those before."""
    source = ModelSource(tmp_path / "toy", threads=1)
    loader.raises = Transient(Stage.SCORE, "model missing")
    frames = []
    for _ in range(5):
        with pytest.raises(Transient) as raised:
            await source.get()
        frames.append(len(list(traceback.walk_tb(raised.value.__traceback__))))
    assert frames[1:] == [frames[1]] * 4


async def test_a_model_has_the_name_of_its_folder(tmp_path) -> None:
    """Documents keep scores by name: a model that is called otherwise than its folder is refused."""
    folder = tmp_path / "other"
    folder.mkdir()
    write(folder, echo(FLOAT))
    with pytest.raises(
        Configuration, match="the model is called test, and its folder other: give both the same"
    ):
        await ModelSource(folder, threads=1).get()
