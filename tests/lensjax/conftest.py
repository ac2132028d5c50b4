"""What holds for all tests of the renderer."""

import pytest


@pytest.fixture(autouse=True, scope="module")
def quickly(hardly_optimised: None) -> None:
    """In the default run of the tests, functions are compiled without optimisation: they render a
    few images each, and most of the time goes into compiling."""
