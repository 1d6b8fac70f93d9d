import pytest

from estinel_assets.errors import BadInputError
from estinel_assets.settings import Settings, load_settings


def test_defaults_need_nothing():
    settings = load_settings()

    assert settings == Settings()
    assert settings.stac.collection == "sentinel-2-c1-l2a"


def test_the_environment_goes_before_the_file(tmp_path, monkeypatch):
    config = tmp_path / "estinel.toml"
    config.write_text('[store]\nurl = "memory://"\n[imagery]\nmax_cloud_fraction = 0.5\n')
    monkeypatch.setenv("ESTINEL_IMAGERY_MAX_CLOUD_FRACTION", "0.25")
    monkeypatch.setenv("ESTINEL_OUTCOMES_MAX_ATTEMPTS", "7")

    settings = load_settings(config)

    assert settings.store.url == "memory://"
    assert settings.imagery.max_cloud_fraction == 0.25
    assert settings.outcomes.max_attempts == 7


def test_the_environment_may_name_the_file(tmp_path, monkeypatch):
    config = tmp_path / "estinel.toml"
    config.write_text('[store]\nurl = "memory://"\n')
    monkeypatch.setenv("ESTINEL_CONFIG", str(config))

    assert load_settings().store.url == "memory://"


def test_bad_settings_are_named_together_and_without_their_values(monkeypatch):
    monkeypatch.setenv("ESTINEL_IMAGERY_MAX_CLOUD_FRACTION", "1.5")
    monkeypatch.setenv("ESTINEL_STAC_PAGE_SIZE", "geheim")
    monkeypatch.setenv("ESTINEL_STORE_ULR", "x")

    with pytest.raises(BadInputError) as caught:
        load_settings()

    message = str(caught.value)
    assert "[imagery] max_cloud_fraction" in message
    assert "[stac] page_size" in message
    assert "[store] ulr" in message
    assert "geheim" not in message


@pytest.mark.parametrize("content", ["[store", "\x00", "[bogus]\nx = 1\n", "x = 1\n"])
def test_a_bad_file_is_refused(tmp_path, content):
    config = tmp_path / "estinel.toml"
    config.write_text(content)

    with pytest.raises(BadInputError):
        load_settings(config)


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(BadInputError, match=r"absent\.toml"):
        load_settings(tmp_path / "absent.toml")


def test_secrets_do_not_show(monkeypatch):
    monkeypatch.setenv("ESTINEL_STAC_API_KEY", "geheim")
    monkeypatch.setenv("ESTINEL_ALERT_URL", "https://hooks.example/geheim")

    settings = load_settings()

    assert "geheim" not in repr(settings)
    assert "geheim" not in settings.model_dump_json()
    assert settings.stac.api_key.get_secret_value() == "geheim"


def test_settings_are_frozen():
    with pytest.raises(Exception, match="frozen"):
        Settings().store.url = "x"
