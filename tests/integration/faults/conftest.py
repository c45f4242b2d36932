from integration.relay.conftest import start_relay, users

__all__ = ["start_relay", "users"]
