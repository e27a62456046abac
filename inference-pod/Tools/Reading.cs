using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;

namespace Moebius.Inference.Tools;

/// <summary>
/// The result of an asynchronous method that reads a <see cref="TextFeed"/>. Unlike a task it never leaves the thread
/// of who appends text: whatever waits for it goes on at once, inside the call that made it ready. So a reader has read
/// all that there is when <see cref="TextFeed.Append"/> returns. Not thread-safe; awaited once.
/// </summary>
/// <typeparam name="T">What was read.</typeparam>
[AsyncMethodBuilder(typeof(ReadingBuilder<>))]
internal sealed class Reading<T> : INotifyCompletion
{
    private T? _result;
    private ExceptionDispatchInfo? _failure;
    private Action? _waiting;

    /// <summary>The method has ended.</summary>
    public bool IsCompleted { get; private set; }

    public Reading<T> GetAwaiter() => this;

    public void OnCompleted(Action continuation) => _waiting = continuation;

    /// <summary>What was read, or the exception that ended the method.</summary>
    public T GetResult()
    {
        _failure?.Throw();
        return _result!;
    }

    internal void End(T? value, Exception? error)
    {
        _result = value;
        _failure = error is null ? null : ExceptionDispatchInfo.Capture(error);
        IsCompleted = true;
        _waiting?.Invoke();
    }
}

/// <summary>How the compiler makes methods that return a <see cref="Reading{T}"/>.</summary>
/// <typeparam name="T">What is read.</typeparam>
internal struct ReadingBuilder<T>
{
    private Action? _resume;

    public Reading<T> Task { get; private init; }

    public static ReadingBuilder<T> Create() => new() { Task = new Reading<T>() };

    public readonly void Start<TMachine>(ref TMachine machine)
        where TMachine : IAsyncStateMachine => machine.MoveNext();

    public readonly void SetResult(T result) => Task.End(result, null);

    public readonly void SetException(Exception error) => Task.End(default, error);

    public readonly void SetStateMachine(IAsyncStateMachine machine)
    {
    }

    public void AwaitOnCompleted<TAwaiter, TMachine>(ref TAwaiter awaiter, ref TMachine machine)
        where TAwaiter : INotifyCompletion
        where TMachine : IAsyncStateMachine
    {
        if (_resume is null)
        {
            // From here on the machine lives on the heap: this copy, with this builder in it, is the one that goes on.
            var kept = new Box<TMachine>();
            _resume = kept.Resume;
            kept.Machine = machine;
        }

        awaiter.OnCompleted(_resume);
    }

    public void AwaitUnsafeOnCompleted<TAwaiter, TMachine>(ref TAwaiter awaiter, ref TMachine machine)
        where TAwaiter : ICriticalNotifyCompletion
        where TMachine : IAsyncStateMachine => AwaitOnCompleted(ref awaiter, ref machine);

    private sealed class Box<TMachine>
        where TMachine : IAsyncStateMachine
    {
        public TMachine? Machine;

        public void Resume() => Machine!.MoveNext();
    }
}
