#!/bin/sh
# Open3D needs a few system libraries that a bare Debian or Ubuntu lacks.
packages="libusb-1.0-0 libgomp1 libgl1 libegl1 libx11-6"
as_root=
[ "$(id -u)" = 0 ] || as_root="sudo -n"
if command -v apt-get >/dev/null; then
    $as_root apt-get update -qq && $as_root apt-get install -qq -y $packages && exit 0
fi
echo "Open3D cannot be imported. Install these libraries and run make again: $packages" >&2
exit 1
