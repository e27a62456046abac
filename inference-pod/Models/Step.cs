namespace Moebius.Inference.Models;

/// <summary>One chunk of a step: rows [Offset, Offset + Count) of the step's tensors belong to it.</summary>
/// <param name="Kv">Its sequence; new tokens begin at its length.</param>
/// <param name="Offset">First row.</param>
/// <param name="Count">Rows.</param>
/// <param name="Cos">Rotary cosines [Count, pairs].</param>
/// <param name="Sin">Rotary sines [Count, pairs].</param>
internal sealed record StepChunk(SequenceKv Kv, int Offset, int Count, float[] Cos, float[] Sin);
