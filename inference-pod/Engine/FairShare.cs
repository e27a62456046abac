namespace Moebius.Inference.Engine;

/// <summary>
/// Tokens served to each party that has something running or waiting (virtual token counter). A party that comes back
/// starts level with the least served one: idling earns no credit.
/// </summary>
internal sealed class FairShare
{
    private readonly Dictionary<string, Account> parties = [];

    public IReadOnlyDictionary<string, long> Served => parties.ToDictionary(party => party.Key, party => party.Value.Served);

    /// <summary>A sequence of a party begins. Answers what its tokens are charged to until it leaves.</summary>
    public Account Join(string party)
    {
        if (!parties.TryGetValue(party, out var account))
            parties[party] = account = new Account { Served = parties.Count == 0 ? 0 : parties.Values.Min(static other => other.Served) };
        account.Sequences++;
        return account;
    }

    public void Leave(string party)
    {
        if (parties.TryGetValue(party, out var account) && --account.Sequences == 0)
            parties.Remove(party);
    }

    /// <summary>What a party was served.</summary>
    internal sealed class Account
    {
        /// <summary>Tokens, those that the party was given to start level among them.</summary>
        public long Served { get; set; }

        /// <summary>Its sequences that run or wait.</summary>
        public int Sequences { get; set; }
    }
}
