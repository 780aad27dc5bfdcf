"""What can be built: for each target what differs from the others."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.errors import UserError

SUITE = "trixie"
PYTHON = "3.13"  # trixie's
PACKAGES = (
    # The ground
    "busybox",  # the initramfs lays the data partition with it
    "ca-certificates",
    "dbus",
    "dosfstools",
    "e2fsprogs",
    "initramfs-tools",
    "iproute2",
    "kbd",
    "kmod",
    "libpam-systemd",
    "systemd",
    "systemd-repart",
    "systemd-sysv",
    "systemd-timesyncd",
    "tzdata",
    "udev",
    "zstd",
    # What the role mb9k installs: the root has no way out while it is set up
    "avahi-daemon",
    "dnsmasq-base",  # the hotspot's addresses
    "network-manager",
    "nftables",
    "openssh-server",
    "python3",
    "python3-apt",
    "python3-venv",
    "rfkill",
    "wireless-regdb",
    "wpasupplicant",
    # Slots
    "grub-common",  # grub-editenv
    "rauc",
    "rauc-service",
)


@dataclass(frozen=True)
class Target:
    """One kind of device.

    machine: as `uname -m` says. kernel_suite: where the kernel comes from, if not from SUITE. console: the serial one.
    efi: the names of Debian's signed shim and GRUB, and of the file that UEFI starts. drivers: folders and modules of
    the kernel that the initramfs holds. On a Pi the firmware reads the first partition and
    a boot partition per slot. pi_files: what lies there beside kernel and initramfs, as patterns below the root.
    """

    name: str
    says: str
    architecture: str
    machine: str
    packages: tuple[str, ...]
    console: str
    efi: tuple[str, str, str]
    drivers: tuple[str, ...]
    is_pi: bool = False
    pi_files: tuple[str, ...] = ()
    pi_console: str = ""
    kernel_suite: str = ""


PI_FIRMWARE = "raspi-firmware"
"""Unpacked, not installed: its hooks would write to a firmware partition that is not there while we build."""
DISKS = (
    "kernel/drivers/ata",
    "kernel/drivers/hid/usbhid",
    "kernel/drivers/mmc",
    "kernel/drivers/nvme",
    "kernel/drivers/usb/host",
    "kernel/drivers/usb/storage",
    "kernel/drivers/virtio",
    "virtio_blk",
    "virtio_scsi",
    "sd_mod",
    "ext4",
    "overlay",
)
PI4_FIRMWARE = (f"usr/lib/{PI_FIRMWARE}/start4.elf", f"usr/lib/{PI_FIRMWARE}/fixup4.dat")
PI_BUSES = tuple(
    f"kernel/drivers/{each}"
    for each in (
        "clk",
        "gpio",
        "mfd",
        "misc/rp1",
        "pci/controller",
        "phy/broadcom",
        "pinctrl",
        "regulator",
        "reset",
        "soc/bcm",
        "usb/dwc2",
        "usb/dwc3",
        "watchdog",
    )
)
ARM64 = ("firmware-brcm80211", "grub-efi-arm64-signed", "linux-image-arm64", "shim-signed")
ARM64_EFI = ("shimaa64.efi.signed", "grubaa64.efi", "BOOTAA64.EFI")
TARGETS = {
    target.name: target
    for target in (
        Target(
            name="amd64",
            says="any PC with UEFI, and QEMU",
            architecture="amd64",
            machine="x86_64",
            packages=("linux-image-amd64", "grub-efi-amd64-signed", "shim-signed"),
            console="ttyS0,115200",
            efi=("shimx64.efi.signed", "grubx64.efi", "BOOTX64.EFI"),
            drivers=DISKS,
        ),
        Target(
            name="arm64",
            says="Raspberry Pi 4, and QEMU's machine virt",
            architecture="arm64",
            machine="aarch64",
            packages=ARM64,
            console="ttyAMA0,115200",
            efi=ARM64_EFI,
            drivers=(*DISKS, *PI_BUSES),
            is_pi=True,
            pi_files=(*PI4_FIRMWARE, "usr/lib/linux-image-*/broadcom/bcm2711-rpi-*.dtb"),
            pi_console="ttyS1,115200",
        ),
        Target(
            name="rpi5",
            says="Raspberry Pi 5, with the kernel of Debian's backports",
            architecture="arm64",
            machine="aarch64",
            packages=ARM64,
            console="ttyAMA0,115200",
            efi=ARM64_EFI,
            drivers=(*DISKS, *PI_BUSES),
            is_pi=True,
            pi_files=("usr/lib/linux-image-*/broadcom/bcm2712*-rpi-*.dtb",),
            pi_console="ttyAMA10,115200",
            kernel_suite="trixie-backports",
        ),
    )
}


def target(name: str) -> Target:
    """The target of a name. Raises UserError."""
    if name not in TARGETS:
        raise UserError(f"there is no target {name}; there are: {', '.join(TARGETS)}")
    return TARGETS[name]
