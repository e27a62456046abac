namespace Moebius.Bench.KvCache;

/// <summary>One turn of a chat.</summary>
/// <param name="Chat">Which chat; its earlier turns go before this one.</param>
/// <param name="Tenant">Who asks.</param>
/// <param name="System">Which system prompt the chat has.</param>
/// <param name="Text">What the user says: in no other turn of the run.</param>
internal sealed record Turn(int Chat, int Tenant, int System, string Text);

/// <summary>
/// Chats of many tenants, drawn by Zipf's law, that share a few long system prompts. Half of the chats have a second
/// turn. Text is public-domain prose, so its tokens are those the model was trained on.
/// </summary>
internal sealed class ChatTrace
{
    public const int Tenants = 64;
    public const double Exponent = 1.0;
    public const int SystemLetters = 3600;
    public const int UserLetters = 200;
    private const int Between = 6;

    private readonly string _prose;
    private readonly Random _random;
    private readonly double[] _shares;
    private int _position;
    private int _chats;

    public ChatTrace(string prose, int seed, int systems)
    {
        _prose = prose;
        _random = new Random(seed);
        // Where the reading begins differs from run to run.
        _position = _random.Next(prose.Length / 4);
        _shares = [.. Enumerable.Range(1, Tenants).Select(rank => Math.Pow(rank, -Exponent))];
        Systems = [.. Enumerable.Range(0, systems).Select(_ => Read(SystemLetters))];
    }

    public IReadOnlyList<string> Systems { get; }

    /// <summary>Turns in the order of their arrival; a chat's second turn follows a few others after its first.</summary>
    public IReadOnlyList<Turn> Take(int count, params int[] systems)
    {
        var turns = new List<Turn>();
        var due = new Queue<(int At, Turn First)>();
        while (turns.Count < count)
        {
            if (due.TryPeek(out var next) && turns.Count >= next.At)
            {
                turns.Add(due.Dequeue().First with { Text = Read(UserLetters) });
                continue;
            }

            var turn = new Turn(_chats++, Tenant(), systems[_random.Next(systems.Length)], Read(UserLetters));
            turns.Add(turn);
            if (_random.Next(2) == 0)
                due.Enqueue((turns.Count + Between, turn));
        }

        return turns;
    }

    private int Tenant()
    {
        var draw = _random.NextDouble() * _shares.Sum();
        for (var tenant = 0; tenant < Tenants; tenant++)
        {
            if ((draw -= _shares[tenant]) < 0)
                return tenant;
        }

        return Tenants - 1;
    }

    private string Read(int letters)
    {
        if (_position + letters > _prose.Length)
            throw new InvalidOperationException("the prose is used up: a text would be repeated");
        var text = _prose.Substring(_position, letters).Trim();
        _position += letters;
        return text;
    }
}
