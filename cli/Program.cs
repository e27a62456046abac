using System.CommandLine;

var root = new RootCommand("Moebius serves Mixture-of-Experts models on machines whose fast memory is smaller than the model.");
return await root.Parse(args).InvokeAsync();
