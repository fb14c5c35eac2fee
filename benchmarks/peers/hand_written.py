"""What one writes by hand: aiokafka, a semaphore, DSPy with its default client.

At least once, JSON in and out. Run in penstock's own environment, so that both have the
same versions: ``python hand_written.py <bootstrap> <group> <requests> <results>
<LM address> <in flight>``.
"""

import asyncio
import json
import sys

import dspy
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

bootstrap, group, requests, results, address, in_flight = sys.argv[1:]


class Answer(dspy.Signature):
    """Answer the ticket of a customer."""

    ticket: str = dspy.InputField()
    reply: str = dspy.OutputField()


async def main() -> None:
    """Answer request after request, *in_flight* at a time."""
    lm = dspy.LM("openai/demo", api_base=address, api_key="none", cache=False)
    predict = dspy.Predict(Answer)
    consumer = AIOKafkaConsumer(
        requests,
        bootstrap_servers=bootstrap,
        group_id=group,
        auto_offset_reset="earliest",
        max_poll_records=500,
    )
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=5)
    await consumer.start()
    await producer.start()
    slots = asyncio.Semaphore(int(in_flight))
    running: set[asyncio.Task[None]] = set()

    async def answer(record: ConsumerRecord) -> None:
        try:
            request = json.loads(record.value)
            with dspy.context(lm=lm):
                prediction = await predict.acall(ticket=request["ticket"])
            value = {"request_id": request["request_id"], "reply": prediction.reply}
            await producer.send(results, json.dumps(value).encode(), key=record.key)
        finally:
            slots.release()

    async for record in consumer:
        await slots.acquire()
        task = asyncio.create_task(answer(record))
        running.add(task)
        task.add_done_callback(running.discard)


asyncio.run(main())
