using Moebius.Cxl.Hints;

namespace Moebius.Cxl.Tests.Hints;

public class PodCgroupTests
{
    private const string Uid = "0f6a3c1e-9a1b-4c2d-8e3f-112233445566";
    private const string Slice = "0f6a3c1e_9a1b_4c2d_8e3f_112233445566";
    private const string Container = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    [Theory]
    // cgroupfs driver, all three classes of service
    [InlineData($"/kubepods/pod{Uid}/{Container}", Uid)]
    [InlineData($"/kubepods/burstable/pod{Uid}/{Container}", Uid)]
    [InlineData($"/kubepods/besteffort/pod{Uid}", Uid)]
    // systemd driver: containerd, CRI-O, Docker
    [InlineData($"/kubepods.slice/kubepods-pod{Slice}.slice/cri-containerd-{Container}.scope", Uid)]
    [InlineData($"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{Slice}.slice/crio-{Container}.scope", Uid)]
    [InlineData($"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{Slice}.slice/docker-{Container}.scope", Uid)]
    // CRI-O's monitor
    [InlineData($"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{Slice}.slice/crio-conmon-{Container}.scope", Uid)]
    // CRI-O puts the container in a folder of its scope on v2
    [InlineData($"/kubepods.slice/kubepods-pod{Slice}.slice/crio-{Container}.scope/container", Uid)]
    // containerd's cgroupfs path on a systemd host
    [InlineData($"/system.slice/containerd.service/kubepods-burstable-pod{Slice}.slice:cri-containerd:{Container}", Uid)]
    // nested: kubelet under its own root, and a node inside a container
    [InlineData($"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod{Slice}.slice/cri-containerd-{Container}.scope", Uid)]
    [InlineData($"/docker/{Container}/kubelet/kubepods/burstable/pod{Uid}/{Container}", Uid)]
    // a static pod goes by its configuration's hash
    [InlineData($"/kubepods/burstable/pod0123456789abcdef0123456789abcdef/{Container}", "0123456789abcdef0123456789abcdef")]
    public void A_pods_cgroup_is_known(string path, string pod) =>
        Assert.Equal(pod, PodCgroup.PodUid(path));

    [Theory]
    [InlineData("/")]
    [InlineData("/kubepods.slice/kubepods-burstable.slice")]
    [InlineData("/system.slice/podman.service")]
    [InlineData($"/docker/{Container}")]
    [InlineData("/kubepods/pod1234")]
    public void Other_cgroups_are_nobodys(string path) => Assert.Null(PodCgroup.PodUid(path));
}
