"""
`masking.py`: what may be shown of a setting.
"""

from typing import Any

import pytest

from keystay_server.settings.masking import shown, without_secrets


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("redis://user@host/0", "redis://user@host/0"),
        ("redis://user:hunter2@host/0", "redis://user:***@host/0"),
        ("redis://:hunter2@host", "redis://:***@host"),
        ("redis://user:hunt:er@2@host", "redis://user:***@host"),
        ("redis+cluster://u:hunter2@a:1,b:2", "redis+cluster://u:***@a:1,b:2"),
        (
            "redis+sentinel://a:1/main?prefix=ks&sentinel_password=hunter2&ssl_x=1",
            "redis+sentinel://a:1/main?prefix=ks&sentinel_password=***&ssl_x=1",
        ),
        ("rediss://h?ssl_password=hunter2", "rediss://h?ssl_password=***"),
        ("redis://host/0?password=hunter2", "redis://host/0?password=***"),
        ("redis://host/0?Pass%77ord=hunter2", "redis://host/0?Pass%77ord=***"),
        ("redis://host/0?hunter2", "redis://host/0?***"),
        ("redis://host/0?pw=hun=ter;2", "redis://host/0?pw=***"),
        ("redis://host/0?prefix=ks;password=hunter2", "redis://host/0?prefix=***"),
        ("redis://host/0#hunter2", "redis://host/0#***"),
        ("redis://u:hunter2@[::1]:1/0", "redis://u:***@[::1]:1/0"),
        ("redis://u:hunter%2F2%402@host/0", "redis://u:***@host/0"),
        ("redis://u%3Ahunter2@host/0", "redis://***@host/0"),
        ("redis://u:hun/ter2@host/0", "redis://***"),
        ("redis://u:hun?ter=2@host/0", "redis://***"),
        ("redis://u:hun#ter@2@host/0", "redis://***"),
        ("redis://u:hun://ter2@host/0", "***"),
        ("redis://u/v:hunter2@host/0", "redis://***"),
        ("redis:u:hunter2@host", "redis:***@host"),
        ("u:hunter2@host:6379", "u:***@host:6379"),
        ("redis+sentinel://a:1/main?sentinel_password=hun@ter2", "redis+sentinel://***"),
        ("redis+sentinel://u:hunter2@a:1,v:hunter2@b:2/m", "redis+sentinel://u:***@b:2/m"),
        ("unix://:hunter2@/run/redis.sock?db=1", "unix://:***@/run/redis.sock?db=***"),
        ("https://u:hunter2@host/hook?key=hunter2", "https://u:***@host/hook?key=***"),
        ("sqlite:////var/lib/keystay.db", "sqlite:////var/lib/keystay.db"),
        ("sqlite:////var/lib/me@home.db", "sqlite:////var/lib/me@home.db"),
    ],
)
def test_a_url_is_shown_without_its_passwords(url: str, safe: str) -> None:
    """Neither the user's nor those among the parameters; all else stays readable."""
    assert without_secrets(url) == safe


@pytest.mark.parametrize(
    ("name", "value", "safe"),
    [
        ("webhook_secret", "hunter2", "***"),
        ("webhook_secret", "", ""),
        ("webhook_secret_file", "/etc/secret", "/etc/secret"),
        ("tls_key", "key.pem", "key.pem"),
        (
            "webhooks",
            ("https://u:hunter2@host", "https://x"),
            ["https://u:***@host", "https://x"],
        ),
        ("ttl_s", 5.0, 5.0),
    ],
)
def test_a_setting_that_is_a_secret_is_masked(name: str, value: Any, safe: Any) -> None:
    """By its name; a file that holds one is named."""
    assert shown(name, value) == safe
