using Moebius.Inference.Engine;

namespace Moebius.Inference.Tests.Engine;

public class EventRelayTests
{
    [Fact]
    public async Task Events_arrive_in_the_order_in_which_they_were_said()
    {
        const int Events = 2000;
        var relay = new EventRelay();
        Generation[] generations = [.. Enumerable.Range(0, 5).Select(_ => new Generation(new EngineRequest([1], new SamplingSettings(), 1, Tenant.Unknown()), static (_, _) => { }))];
        var readers = generations.Select(ReadAsync).ToList();
        for (var i = 0; i < Events; i++)
        {
            foreach (var generation in generations)
                relay.Add(generation, new GenerationEvent($"{i}", [], i == Events - 1 ? FinishReason.Length : null, i + 1));
            if (i % 3 == 0 || i == Events - 1)
                relay.Flush();
        }

        foreach (var reader in readers)
            Assert.Equal(Enumerable.Range(0, Events).Select(i => $"{i}"), await Eventually.EndsAsync(reader));
    }

    private static async Task<List<string>> ReadAsync(Generation generation)
    {
        var texts = new List<string>();
        await foreach (var happened in generation.Events.Reader.ReadAllAsync(TestContext.Current.CancellationToken))
            texts.Add(happened.Text);
        return texts;
    }
}
