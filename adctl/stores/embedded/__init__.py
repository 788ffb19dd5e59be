"""PostgreSQL, Valkey and a Kafka-protocol broker from their wheels, as real servers on loopback."""
