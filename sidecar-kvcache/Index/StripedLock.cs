using System.Runtime.CompilerServices;

namespace Moebius.KvCache.Index;

/// <summary>
/// A readers-writer lock whose readers touch one stripe each, so that lookups on different threads share no cache line.
/// A writer takes every stripe, in order.
/// </summary>
internal sealed class StripedLock
{
    private readonly Stripe[] _stripes;

    public StripedLock()
    {
        _stripes = new Stripe[(int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)Math.Max(2, Environment.ProcessorCount))];
        for (var index = 0; index < _stripes.Length; index++)
            _stripes[index] = new Stripe();
    }

    public ReadScope Read()
    {
        var stripe = _stripes[Environment.CurrentManagedThreadId & (_stripes.Length - 1)];
        System.Threading.Monitor.Enter(stripe);
        return new ReadScope(stripe);
    }

    public WriteScope Write()
    {
        foreach (var stripe in _stripes)
            System.Threading.Monitor.Enter(stripe);
        return new WriteScope(_stripes);
    }

    // Padded to two cache lines: the object header is what readers write to.
    [InlineArray(16)]
    private struct Padding
    {
        private long _first;
    }

    private sealed class Stripe
    {
#pragma warning disable CS0169, IDE0051 // Space, never read.
        private readonly Padding _padding;
#pragma warning restore CS0169, IDE0051
    }

    public readonly ref struct ReadScope(object stripe)
    {
        public void Dispose() => System.Threading.Monitor.Exit(stripe);
    }

    public readonly ref struct WriteScope
    {
        private readonly Stripe[] _stripes;

        internal WriteScope(object stripes) => _stripes = (Stripe[])stripes;

        public void Dispose()
        {
            for (var index = _stripes.Length - 1; index >= 0; index--)
                System.Threading.Monitor.Exit(_stripes[index]);
        }
    }
}
