"""What `lensjax doctor` finds out about the folder of real data."""

from data import doctor


def test_the_data_folder_and_its_manifest(monkeypatch, tmp_path):
    def asked(value):
        monkeypatch.setenv("LENSJAX_DATA", str(value))
        (finding,) = doctor.findings()
        return finding

    assert asked("").level == asked(tmp_path).level == "note"
    assert asked(tmp_path / "none").level == "broken"
    (tmp_path / "a.fits").write_text("abc")
    rows = "path,bytes,sha256\na.fits,3,x\n"
    (tmp_path / "MANIFEST.csv").write_text(rows)
    assert asked(tmp_path).level == "ok" and "all 1 files" in asked(tmp_path).text
    (tmp_path / "MANIFEST.csv").write_text(rows + "b.fits,3,x\n")
    assert "1 are missing or have another size: b.fits." in asked(tmp_path).text
    (tmp_path / "MANIFEST.csv").write_text("name\n1\n")
    assert "cannot be read" in asked(tmp_path).text
