from __future__ import annotations

from eyesup.cli import doctor
from eyesup.cli.main import main


def words(capsys):
    return " ".join(capsys.readouterr().out.replace("│", " ").split())


def test_it_lists_versions_and_the_device(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "installed", lambda package: "1.2.3")
    assert main(["doctor"]) == 0
    text = words(capsys)
    assert all(f"{package} 1.2.3" in text for package in doctor.PACKAGES)
    assert "GPU: " in text and "all packages found" in text


def test_a_missing_package_comes_with_its_remedy_and_a_failing_status(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "installed", lambda package: None if package in ("torch", "libsumo") else "1.0")
    assert main(["doctor"]) == 1
    text = words(capsys)
    assert "torch missing pip install 'eyesup[models]'" in text
    assert "libsumo missing pip install 'eyesup[world]'" in text and "2 missing" in text


def test_what_is_not_installed_has_no_version():
    assert doctor.installed("no-such-package-of-eyesup") is None
    assert doctor.installed("numpy")


def test_every_package_of_an_extra_names_an_extra_that_exists():
    from importlib.metadata import metadata

    extras = set(metadata("eyesup").get_all("Provides-Extra"))
    assert {extra for extra in doctor.PACKAGES.values() if extra} <= extras
