"""The relay process: rounds of `RelayEvents` on the lanes this relay holds, until it is told to stop."""
