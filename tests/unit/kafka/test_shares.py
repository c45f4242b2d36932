"""How a round is divided among partitions."""

from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer.message_accumulator import BatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from adapters.kafka.cloudevents import encode
from adapters.kafka.partition_batches import partition_of, shares_of
from application.relay.messages import Pending
from domain.sync_user import sync_user
from domain.user import UserId
from support.users import snapshot


class Topic:
    """What `shares_of` asks of a producer, with batches as small as a test wants them."""

    def __init__(self, partitions: int, batch_bytes: int) -> None:
        self.partitions, self.batch_bytes = partitions, batch_bytes

    async def partitions_for(self, _) -> set[int]:
        return set(range(self.partitions))

    def create_batch(self) -> BatchBuilder:
        return BatchBuilder(self.batch_bytes, 0, is_transactional=False, key_serializer=None, value_serializer=None)


def pending(number: int, user: str) -> Pending:
    return Pending(id=number, lane=0, stored_at=0, message=encode(sync_user(None, snapshot(UserId(user))).events[0]))


@given(st.text(min_size=1), st.integers(1, 200))
def test_a_key_is_in_the_partition_that_other_kafka_clients_would_choose(key, count):
    partitions = list(range(count))

    assert partition_of(key, partitions) == DefaultPartitioner()(key.encode(), partitions, partitions)


@given(st.lists(st.sampled_from(["user_a", "user_b", "user_c", "user_d"]), max_size=30), st.integers(1, 3))
async def test_each_message_is_in_one_share_of_its_partition_and_none_comes_before_an_earlier_one_of_its_key(
    users, partitions
):
    batch = [pending(number, user) for number, user in enumerate(users)]

    shares = await shares_of(Topic(partitions, 1500), "users", batch, lambda message: (message.payload, []))

    sent = [item for share in shares for item in share.items]
    assert sorted(item.id for item in sent) == list(range(len(batch)))
    for user in set(users):
        of_user = [item.id for item in sent if item.message.key == user]
        assert of_user == sorted(of_user)
    for share in shares:
        assert share.builder.record_count() == len(share.items) > 0
        assert {partition_of(item.message.key, range(partitions)) for item in share.items} == {share.partition}


async def test_a_message_larger_than_a_batch_has_one_to_itself():
    batch = [pending(number, "user_a") for number in range(3)]

    shares = await shares_of(Topic(1, 10), "users", batch, lambda message: (message.payload, []))

    assert [[item.id for item in share.items] for share in shares] == [[0], [1], [2]]
