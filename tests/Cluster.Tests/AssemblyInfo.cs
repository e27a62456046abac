using Xunit.Sdk;
using Xunit.v3;

// One node, two cores: one test at a time.
[assembly: Parallelization(Mode = ParallelMode.None)]
