namespace Moebius.PromptOptimizer.Jobs;

/// <summary>A pulse for each job that somebody listens to: who listens to one job does not wake for all the others.</summary>
internal sealed class JobPulses
{
    private readonly Dictionary<string, (Pulse Pulse, int Listeners)> _jobs = [];

    /// <summary>The pulse of a job, until as many calls of <see cref="Leave"/>.</summary>
    public Pulse Join(string id)
    {
        lock (_jobs)
        {
            var (pulse, listeners) = _jobs.TryGetValue(id, out var known) ? known : (new Pulse(), 0);
            _jobs[id] = (pulse, listeners + 1);
            return pulse;
        }
    }

    /// <summary>Ends what <see cref="Join"/> began.</summary>
    public void Leave(string id)
    {
        lock (_jobs)
        {
            var (pulse, listeners) = _jobs[id];
            if (listeners > 1)
                _jobs[id] = (pulse, listeners - 1);
            else
                _jobs.Remove(id);
        }
    }

    /// <summary>Jobs that somebody listens to.</summary>
    public IReadOnlyList<string> Jobs
    {
        get
        {
            lock (_jobs)
                return [.. _jobs.Keys];
        }
    }

    /// <summary>Wakes those who listen to a job.</summary>
    public void Beat(string id)
    {
        (Pulse Pulse, int Listeners) known;
        lock (_jobs)
        {
            if (!_jobs.TryGetValue(id, out known))
                return;
        }

        known.Pulse.Beat();
    }
}
