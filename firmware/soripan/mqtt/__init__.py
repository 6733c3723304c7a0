"""The panel's side of MQTT: topics, messages, the client, and what it publishes of itself."""
