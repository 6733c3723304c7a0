"""The other end of MQTT: processes that take requests to an assistant, and bring its replies."""
