"""What fault tests share with the integration tests."""

from tests.integration.conftest import figures, new_lab

__all__ = ["figures", "new_lab"]
