import pytest

from soripan.mqtt.topics import Topics

TOPICS = Topics("soripan", "kitchen")


def test_the_topics_are_those_of_the_contract() -> None:
    assert TOPICS.availability == "soripan/kitchen/availability"
    assert TOPICS.state("fridge", "door") == "soripan/kitchen/state/fridge/door"
    assert TOPICS.set_filter == "soripan/kitchen/set/+/+"
    assert TOPICS.event("wake") == "soripan/kitchen/event/wake"
    assert TOPICS.request("alexa") == "soripan/kitchen/request/alexa"
    assert TOPICS.reply == "soripan/kitchen/reply"


@pytest.mark.parametrize("prefix", ["soripan", "home/soripan"])
def test_a_set_topic_names_appliance_and_property(prefix: str) -> None:
    topics = Topics(prefix, "kitchen")
    assert topics.parse_set(f"{prefix}/kitchen/set/tv/volume") == ("tv", "volume")


@pytest.mark.parametrize(
    "topic",
    [
        "soripan/kitchen/set/tv",
        "soripan/kitchen/set/tv/volume/more",
        "soripan/kitchen/set//volume",
        "soripan/kitchen/set/tv/",
        "soripan/kitchen/state/tv/volume",
        "soripan/bath/set/tv/volume",
        "x/soripan/kitchen/set/tv/volume",
        "tv/volume",
        "",
    ],
)
def test_other_topics_are_no_set_topics(topic: str) -> None:
    assert TOPICS.parse_set(topic) is None
