using Moebius.Crds.Schema;

namespace Moebius.Crds.V1Alpha1;

/// <summary>How experts share fast memory (ExpertFlow, arXiv 2510.26730).</summary>
public sealed class ExpertSpec
{
    /// <summary>Hard limit for the bytes of resident experts. Absent: all experts are resident.</summary>
    public ByteQuantity? FastMemory { get; set; }

    /// <summary>Where experts that are not resident are read from.</summary>
    public SlowTier SlowTier { get; set; } = SlowTier.DirectIO;

    /// <summary>How experts are stored in fast memory. Changes outputs; everything else never does.</summary>
    public ExpertQuantization Quantization { get; set; } = ExpertQuantization.None;

    /// <summary>Which experts are loaded before they are needed.</summary>
    public PrefetchSpec Prefetch { get; set; } = new();
}

/// <summary>The tier that experts are loaded from.</summary>
public enum SlowTier
{
    /// <summary>The weight file, bypassing the page cache.</summary>
    DirectIO,

    /// <summary>The weight file through the page cache.</summary>
    MemoryMap,

    /// <summary>Pinned host memory, for a fast tier on a device. This version refuses it.</summary>
    HostMemory,
}

/// <summary>Storage of resident experts.</summary>
public enum ExpertQuantization
{
    /// <summary>As in the checkpoint.</summary>
    None,

    /// <summary>8-bit integers with a scale per group.</summary>
    Int8,

    /// <summary>4-bit integers with a scale per group.</summary>
    Int4,
}

/// <summary>Expert prefetch.</summary>
[CelRule("self.mode == 'Fixed' ? has(self.horizon) : !has(self.horizon)", "horizon must be set for mode Fixed and only then")]
public sealed class PrefetchSpec
{
    /// <summary>Who decides how far ahead to load.</summary>
    public PrefetchMode Mode { get; set; } = PrefetchMode.OnDemand;

    /// <summary>Layers ahead, for mode Fixed.</summary>
    [Range(1, 8)]
    public int? Horizon { get; set; }

    /// <summary>Largest horizon that mode Adaptive may choose.</summary>
    [Range(1, 64)]
    public int MaxHorizon { get; set; } = 8;

    /// <summary>Stalls after which mode Adaptive looks one layer further ahead.</summary>
    [Range(1, 1000)]
    public int StallThreshold { get; set; } = 4;

    /// <summary>Experts prefetched and evicted unused, beyond as many as their probabilities foretold, after which mode Adaptive looks one layer less far ahead.</summary>
    [Range(1, 1000)]
    public int OverfetchThreshold { get; set; } = 8;
}

/// <summary>Prefetch strategies.</summary>
public enum PrefetchMode
{
    /// <summary>Load an expert when the router asks for it.</summary>
    OnDemand,

    /// <summary>Predict a fixed number of layers ahead.</summary>
    Fixed,

    /// <summary>The horizon follows bandwidth, compute time, stalls and over-fetches (ExpertFlow).</summary>
    Adaptive,
}
