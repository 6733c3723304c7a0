"""The panel's side of MQTT: client, topics, messages."""
