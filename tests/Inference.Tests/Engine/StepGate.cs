namespace Moebius.Inference.Tests.Engine;

/// <summary>Holds the engine's thread before a step, until the test lets so many steps go on.</summary>
internal sealed class StepGate
{
    private readonly object _changed = new();
    private int _steps;
    private bool _open;

    /// <summary>Waits for a step to be let through; on the engine's thread.</summary>
    public void Wait()
    {
        lock (_changed)
        {
            while (_steps == 0 && !_open)
                Monitor.Wait(_changed);
            _steps--;
        }
    }

    /// <summary>Lets as many more steps through.</summary>
    public void Release(int steps)
    {
        lock (_changed)
        {
            _steps += steps;
            Monitor.PulseAll(_changed);
        }
    }

    /// <summary>Lets everything through from now on: at the end of a test, which may have failed before it released anything.</summary>
    public void Open()
    {
        lock (_changed)
        {
            _open = true;
            Monitor.PulseAll(_changed);
        }
    }
}
