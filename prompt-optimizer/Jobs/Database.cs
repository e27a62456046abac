using System.Data.Common;

namespace Moebius.PromptOptimizer.Jobs;

/// <summary>Where jobs are kept. What is written has reached the disk when a call returns.</summary>
internal abstract class Database : IDisposable
{
    /// <summary>Its way to say what the stores say differently.</summary>
    public abstract SqlWords Words { get; }

    /// <summary>Whether other services may work on the same jobs.</summary>
    public abstract bool IsShared { get; }

    /// <summary>Reads in one transaction, so that what several statements read belongs together. It may be run again after a fault.</summary>
    /// <exception cref="DbException">The store does not answer.</exception>
    public abstract T Read<T>(Func<DbConnection, T> query);

    /// <summary>Changes all or nothing. It may be run again after a fault before its end: it must not count on what it did outside the store.</summary>
    /// <exception cref="DbException">The store does not answer; the change may have been made if that came at its end.</exception>
    public abstract T Write<T>(Func<DbConnection, T> change);

    /// <summary>Makes what was deleted leave the files, as far as that is in this program's hands.</summary>
    /// <returns>Whether nothing of it is left to do.</returns>
    public abstract bool EmptyLog();

    public abstract void Dispose();
}
