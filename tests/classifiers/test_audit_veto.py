"""No host near a known lens, anywhere on the sky, and what cannot be checked is said."""

import numpy as np
import pandas as pd
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from auditable import rows
from hypothesis import given, settings
from hypothesis import strategies as st

from classifiers.audit import hosts, veto
from data import lenses
from lensjax.errors import InputError

RADIUS = 11.0


def hosts_at(ra, dec) -> hosts.Hosts:
    table = pd.DataFrame(rows(len(ra))).assign(ra=ra, dec=dec, label=0)
    return hosts.candidates(table, None)


def known_at(ra, dec, grading="probable") -> veto.Known:
    name = np.array([f"L{i}" for i in range(len(ra))])
    found = lenses.Lenses(name, np.asarray(ra), np.asarray(dec), np.full(len(ra), grading))
    return veto.Known(found, np.full(len(ra), "list"), {"list": len(ra)})


def beside(ra, dec, angle, arcsec) -> tuple[np.ndarray, np.ndarray]:
    """Positions at a distance from others, by astropy."""
    there = SkyCoord(ra, dec, unit="deg").directional_offset_by(
        angle * units.deg, arcsec * units.arcsec
    )
    return there.ra.deg, there.dec.deg


PLACES = np.array([[0.0, 0.0], [359.9999, 5.0], [0.0001, -18.0], [123.0, 90.0], [7.0, -89.9995]])


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 360), st.sampled_from([0.0, 0.5, 10.99, 11.01, 40.0]))
def test_hosts_are_left_out_within_the_radius_and_kept_beyond_it_at_ra_0_and_at_the_poles(
    angle, arcsec
):
    ra, dec = beside(*PLACES.T, angle, arcsec)
    far = np.array([50.0]), np.array([10.0])
    found = hosts_at(np.r_[ra, far[0]], np.r_[dec, far[1]])
    kept, made = veto.apart(found, known_at(*PLACES.T), RADIUS)
    theirs = SkyCoord(ra, dec, unit="deg").match_to_catalog_sky(SkyCoord(*PLACES.T, unit="deg"))
    near = theirs[1].arcsec <= RADIUS
    assert near.all() == (arcsec < RADIUS)  # the cases are what they are meant to be
    wanted = found.ids[: len(ra)][near]
    assert sorted(made.left_out["galaxy_id"]) == sorted(wanted)
    assert set(kept.ids) == set(found.ids) - set(wanted) and made.considered == len(found)
    by_id = made.left_out.set_index("galaxy_id")
    for name, lens, apart in zip(found.ids, theirs[0], theirs[1].arcsec):
        if name in by_id.index:
            assert by_id.loc[name, "lens"] == f"L{lens}"
            assert by_id.loc[name, "separation_arcsec"] == pytest.approx(apart, abs=2e-6)


def test_exactly_the_radius_is_within_it():
    """11 arcsec north, written in degrees: neither number has an exact double."""
    lens_dec = np.array([0.0, 31.7, -17.9, 89.0])
    found = hosts_at(np.full(5, 200.0), np.r_[lens_dec + 11 / 3600, 60.0])
    kept, made = veto.apart(found, known_at(np.full(4, 200.0), lens_dec), RADIUS)
    assert len(made.left_out) == 4 and len(kept) == 1
    kept, made = veto.apart(found, known_at(np.full(4, 200.0), lens_dec), 10.9999)
    assert len(made.left_out) == 0 and len(kept) == 5


def test_what_cannot_be_checked_is_said():
    found = hosts_at([10.0, np.nan, 20.0], [0.0, np.nan, 0.0])
    none = veto.Known(lenses.joined([]), np.empty(0, object), {})
    kept, made = veto.apart(found, none, RADIUS)
    assert len(kept) == 3 and made.finding() == []
    (first, second) = made.unsaid()
    assert "no list of known lenses" in first and "1 of 3 hosts have no position" in second
    _, off = veto.apart(found, known_at([10.0], [0.0]), 0.0)
    assert "audit.lens_radius is 0" in off.unsaid()[0] and len(off.left_out) == 0
    _, clear = veto.apart(found, known_at([30.0], [0.0]), RADIUS)
    assert clear.finding()[0].startswith("None of 2 possible hosts")
    with pytest.raises(InputError, match='every one of the 2 possible hosts lies within 11"'):
        veto.apart(found.take(np.array([0, 2])), known_at([10.0, 20.0], [0.0, 0.0]), RADIUS)


def test_the_lenses_are_those_of_the_run_of_further_lists_and_of_the_manifest(tmp_path):
    table = pd.DataFrame(rows(16))
    assert veto.known_lenses(tmp_path, (), table.assign(label=0)).lists == {}
    own = known_at([10.1], [0.0], "").lenses
    lenses.write(tmp_path / lenses.OF_A_RUN, own)
    (tmp_path / "more.csv").write_text("name,RA,DEC,grade\n=x(),10.2,0.0,C\n")
    known = veto.known_lenses(tmp_path, (str(tmp_path / "more.csv"),), table)
    assert known.lists == {veto.OWN: 1, "more.csv": 1, veto.LABELLED: 2} and known.listed == 2
    found = hosts.candidates(table, None)
    _, made = veto.apart(found, known, RADIUS)
    lines = made.left_out.set_index("galaxy_id")
    assert lines["list"].to_dict() == {"0010p000_5": veto.OWN, "0010p000_10": "more.csv"}
    assert lines.loc["0010p000_10", "lens"] == "'=x()" and lines.loc["0010p000_5", "grading"] == ""
    beyond = table.assign(ra=np.where(table["label"] == 1, table["ra"] + 1 / 50, table["ra"]))
    _, made = veto.apart(hosts.candidates(beyond, None), veto.known_lenses(tmp_path, (), beyond), 1)
    assert veto.LABELLED in set(made.left_out["list"])  # moved onto their neighbours
    (tmp_path / "bad.csv").write_text("name,RA,DEC\na,1,2\nb,one,2\n")
    with pytest.raises(InputError, match=r"audit.lens_lists: .*bad.csv, line 3: RA 'one'"):
        veto.known_lenses(tmp_path, (str(tmp_path / "bad.csv"),), table)
