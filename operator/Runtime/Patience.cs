namespace Moebius.Operator.Runtime;

/// <summary>
/// How long something that may never come is waited for. Counted from the first look of this process, because the time
/// of deletion in an object is another machine's clock.
/// </summary>
internal sealed class Patience(TimeProvider time, TimeSpan most)
{
    private readonly Dictionary<string, long> _since = [];

    /// <summary>How long an object has been waited for by now.</summary>
    /// <param name="uid">The object.</param>
    public TimeSpan Waited(string uid)
    {
        lock (_since)
        {
            if (!_since.TryGetValue(uid, out var first))
                _since[uid] = first = time.GetTimestamp();
            return time.GetElapsedTime(first);
        }
    }

    /// <summary>Whether it has been long enough.</summary>
    public bool IsOver(string uid) => Waited(uid) >= most;

    /// <summary>Nothing is waited for any more.</summary>
    public void Forget(string uid)
    {
        lock (_since)
            _since.Remove(uid);
    }
}
