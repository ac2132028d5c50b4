"""Fixtures shared by every room's tests."""

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import quick_compilation

os.environ.setdefault(
    "OPENBLAS_NUM_THREADS", "1"
)  # small products of the reference images are quicker so when the cores are shared
# A shell ignores Ctrl-C for what it starts in the background, and so would everything that a test
# starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """Lets every process of one run of the tests use what another has compiled already, and the
    default run of the tests compile more quickly.

    The chain compiles the same functions in many processes. The folder is made by the process that
    starts the others, and is gone with it. A folder that the user names is used and kept, and so
    are the user's settings of the compiler. With the stress tests everything is compiled as users
    do.
    """
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        folder = tempfile.TemporaryDirectory(prefix="compiled-", ignore_cleanup_errors=True)
        config.add_cleanup(folder.cleanup)
        os.environ["JAX_COMPILATION_CACHE_DIR"] = folder.name
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.3"
    if quick_compilation.asked_for(config):
        os.environ.setdefault("XLA_FLAGS", quick_compilation.EMITTERS)


@pytest.fixture(scope="module")
def hardly_optimised(pytestconfig: pytest.Config) -> Iterator[None]:
    """In the default run of the tests, a module's functions are compiled without optimisation: for
    modules whose time goes into compiling."""
    import jax  # here, because some tests set JAX up before it is imported

    name = "jax_disable_most_optimizations"
    before = jax.config.read(name)
    if quick_compilation.asked_for(pytestconfig):
        jax.config.update(name, True)
    yield
    jax.config.update(name, before)


@pytest.fixture(scope="session")
def survey_data() -> Path:
    """Folder of real survey data: LENSJAX_DATA, or ../shared/data beside the checkout; skips when
    neither is there."""
    here = Path(__file__).resolve().parents[1]
    given = os.environ.get("LENSJAX_DATA") or here.parent / "shared" / "data"
    folder = Path(given).absolute()  # some tests change the working directory
    if not (folder / "MANIFEST.csv").is_file():
        pytest.skip(f"no real survey data: set LENSJAX_DATA (looked in {folder})")
    return folder


@pytest.fixture(autouse=True, scope="session")
def forms_of_all_platforms(pytestconfig: pytest.Config) -> Iterator[Callable[..., Any]]:
    """In the default run of the tests, functions are traced in the form that a processor runs. To
    trace that of a graphics card as well, which is then thrown away, takes three times as long.
    Gives the function of JAX that traces all forms."""
    import jax  # here, because some tests set JAX up before it is imported

    all_of_them = jax.lax.platform_dependent

    def of_a_processor(*args: Any, default: Callable[..., Any], **forms: Any) -> Any:
        if jax.default_backend() == "cpu":
            return forms.get("cpu", default)(*args)
        return all_of_them(*args, default=default, **forms)

    with pytest.MonkeyPatch.context() as patch:
        if quick_compilation.asked_for(pytestconfig):
            patch.setattr(jax.lax, "platform_dependent", of_a_processor)
        yield all_of_them


@pytest.fixture(scope="module")
def as_on_every_platform(forms_of_all_platforms: Callable[..., Any]) -> Iterator[None]:
    """Functions are traced in all their forms, for modules that look at these."""
    import jax

    jax.clear_caches()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax.lax, "platform_dependent", forms_of_all_platforms)
        yield


@pytest.fixture
def as_on_a_card(monkeypatch) -> Callable[[], AbstractContextManager[None]]:
    """A context in which functions are traced in the form that they have on a graphics card. It
    runs on a processor just as well, only more slowly."""
    import jax  # here, because some tests set JAX up before it is imported

    @contextmanager
    def traced() -> Iterator[None]:
        jax.clear_caches()
        with monkeypatch.context() as patch:
            patch.setattr(jax.lax, "platform_dependent", lambda *a, default, **_: default(*a))
            yield
        jax.clear_caches()

    return traced
