"""Bundles on disk: a few are kept, and what is pointed to can be read or is not there."""

import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from noria.core.base.errors import BundleError
from noria.core.model.bundle import GOLDEN, MODEL
from noria.io.bundle_files import read_manifest
from serving.models.bundle_store import BundleStore, Pointer


@pytest.fixture
def store(tmp_path):
    return BundleStore(tmp_path)


def test_the_bundles_used_last_are_kept_and_half_fetched_ones_go(store, tmp_path):
    digests = [f"{number:064x}" for number in range(8)]
    for number, digest in enumerate(digests):
        store.folder("parcels", digest).mkdir(parents=True)
        os.utime(store.folder("parcels", digest), (number, number))
    abandoned, fresh = (tmp_path / "bundles" / "parcels" / f".fetching-{name}" for name in ("abandoned", "fresh"))
    abandoned.mkdir()
    fresh.mkdir()
    os.utime(abandoned, (0, 0))
    store.prune("parcels", keep=digests[0])
    kept = {path.name for path in (tmp_path / "bundles" / "parcels").iterdir()}
    assert kept == {digests[0], *digests[4:], fresh.name}


def test_a_pointer_is_read_back_and_a_damaged_one_is_none(store, tmp_path):
    assert store.pointer("parcels") is None
    store.point("parcels", Pointer("3", "a" * 64))
    assert store.pointer("parcels") == Pointer("3", "a" * 64)
    (tmp_path / "current" / "parcels.json").write_text('{"version": ')
    assert store.pointer("parcels") is None


@pytest.mark.parametrize("digest", ["", "../../etc", "A" * 64, "a" * 63])
def test_only_a_digest_names_a_folder(store, digest):
    with pytest.raises(BundleError, match="SHA-256"):
        store.folder("parcels", digest)


def test_fetch_by_many_at_once_gives_a_complete_bundle(tmp_path, make_bundle):
    bundle = make_bundle(1)
    processes = [BundleStore(tmp_path) for _ in range(4)]
    barrier = threading.Barrier(len(processes))

    def fetch(store):
        def download(name, into):
            shutil.copy(bundle.folder / name, into)
            if name == GOLDEN:  # the last of them: all put theirs in place in the same moment
                barrier.wait()

        place = store.fetch("parcels", bundle.digest, download)
        return [read_manifest(place, bundle.digest).use_case for _ in range(20)]

    assert list(read_manifest(bundle.folder).files) == [GOLDEN, MODEL]
    with ThreadPoolExecutor(len(processes)) as pool:
        for _ in range(25):
            assert [set(seen) for seen in pool.map(fetch, processes)] == [{"parcels"}] * len(processes)
            assert [path.name for path in (tmp_path / "bundles" / "parcels").iterdir()] == [bundle.digest]
            shutil.rmtree(tmp_path / "bundles")


def test_a_damaged_bundle_is_replaced(store, make_bundle):
    bundle = make_bundle(1)
    place = store.folder("parcels", bundle.digest)
    place.mkdir(parents=True)
    (place / MODEL).write_bytes(b"half of")
    store.fetch("parcels", bundle.digest, lambda name, into: shutil.copy(bundle.folder / name, into))
    assert read_manifest(place, bundle.digest).use_case == "parcels"
