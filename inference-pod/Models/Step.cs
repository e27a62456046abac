namespace Moebius.Inference.Models;

/// <summary>One chunk of a step: rows [Offset, Offset + Count) of the step's tensors belong to it.</summary>
/// <param name="Kv">Its sequence; new tokens begin at its length.</param>
/// <param name="Offset">First row.</param>
/// <param name="Count">Rows.</param>
/// <param name="Tokens">Their token ids.</param>
/// <param name="New">The last rows that the caller gave; rows before them are computed again.</param>
/// <param name="Cos">Rotary cosines [Count, pairs].</param>
/// <param name="Sin">Rotary sines [Count, pairs].</param>
internal sealed record StepChunk(SequenceKv Kv, int Offset, int Count, ReadOnlyMemory<int> Tokens, int New, float[] Cos, float[] Sin);
