# Stand-ins for the public base images, out of Debian packages and this machine's Go and Node, for deploy/container/test.sh.
# Set by the caller: ROOT, WORK, SUITE, MIRROR, UID_IN_IMAGE, and the functions die, engine and have_image.
# shellcheck shell=bash
# shellcheck disable=SC2153,SC2154 # the caller sets them

# import FOLDER NAME OPTIONS...: makes an image of one layer, with the options of `buildah config`; removes the folder.
import() {
  local folder=$1 name=$2 made
  shift 2
  made=$(engine from scratch)
  tar -C "$folder" --exclude './proc/*' --exclude './sys/*' --exclude './dev/*' -c . | tar -C "$(engine mount "$made")" -x
  engine config "$@" "$made"
  engine commit --quiet --rm "$made" "localhost/$name" >/dev/null
  rm -rf --one-file-system "$folder"
}

# unpack FOLDER PACKAGES: Debian with these packages and what they need, which nothing has set up: no script of theirs runs,
# which takes a quarter of the time. The packages' files stay in FOLDER/var/cache/apt/archives.
unpack() {
  local root=$1 deb
  # What a run that was ended left.
  rm -rf --one-file-system "$root"
  debootstrap --foreign --variant=minbase --include="$2" "$SUITE" "$root" "$MIRROR" >"$WORK/debootstrap.log" 2>&1 ||
    die "debootstrap failed: $(tail -n 1 "$WORK/debootstrap.log")"
  for deb in "$root"/var/cache/apt/archives/*.deb; do dpkg-deb --extract "$deb" "$root"; done
  rm -rf "$root/debootstrap"
  printf 'root:x:0:0:root:/root:/bin/bash\n' >"$root/etc/passwd"
  printf 'root:x:0:\n' >"$root/etc/group"
  # The builds trust whom this machine trusts: it may be behind a proxy with a certificate of its own.
  cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
}

# stand_in_builder: for the golang and the node image: Debian with a C compiler, and this machine's Go and Node.
stand_in_builder() {
  local root=$WORK/builder npm
  have_image stand-in/builder && return
  unpack "$root" ca-certificates,gcc,libc6-dev,libstdc++6,netbase,tzdata
  mkdir -p "$root/usr/local/bin"
  cp -a "$(cd "$ROOT" && go env GOROOT)" "$root/usr/local/go"
  cp -L "$(command -v node)" "$root/usr/local/bin/node"
  npm=$(dirname "$(dirname "$(readlink -f "$(command -v npm)")")")
  mkdir -p "$root/usr/local/lib/node_modules"
  cp -a "$npm" "$root/usr/local/lib/node_modules/npm"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
  chroot "$root" npm --version >/dev/null || die "this machine's node and npm do not run in Debian $SUITE: install those of nodejs.org"
  # The base is made of the same packages.
  rm -rf "$WORK/packages"
  mv "$root/var/cache/apt/archives" "$WORK/packages"
  import "$root" stand-in/builder --env PATH=/usr/local/go/bin:/usr/local/bin:/usr/bin:/bin --env GOTOOLCHAIN=local \
    --env NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
}

# stand_in_base: for the distroless image: the files of its libraries, certificates and time zones, and a user.
stand_in_base() {
  local root=$WORK/base deb name
  have_image stand-in/base && return
  rm -rf --one-file-system "$root"
  mkdir -p "$root/etc/ssl/certs" "$root/home/nonroot" "$root/tmp" "$root/usr/bin" "$root/usr/sbin" "$root/usr/lib" "$root/usr/lib64"
  # As Debian has it since its usr-merge; the packages carry files of /usr alone.
  ln -s usr/bin usr/sbin usr/lib usr/lib64 "$root"
  for name in base-files netbase tzdata ca-certificates libc6 gcc-14-base libgcc-s1 libstdc++6; do
    for deb in "$WORK"/packages/"${name}"_*.deb; do
      dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$root" --keep-directory-symlink --exclude './usr/share/doc/*/changelog*' \
        --exclude './usr/share/man' --exclude './usr/share/lintian' --exclude './usr/sbin/*' --exclude './usr/bin/*' \
        --exclude './usr/lib/*/gconv' --exclude ./etc/update-motd.d --exclude './usr/share/doc/*/examples'
    done
  done
  find "$root/usr/share/ca-certificates" -name '*.crt' -exec cat {} + >"$root/etc/ssl/certs/ca-certificates.crt"
  printf 'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:%s:%s:nonroot:/home/nonroot:/sbin/nologin\n' \
    "$UID_IN_IMAGE" "$UID_IN_IMAGE" >"$root/etc/passwd"
  printf 'root:x:0:\nnonroot:x:%s:\n' "$UID_IN_IMAGE" >"$root/etc/group"
  chown "$UID_IN_IMAGE:$UID_IN_IMAGE" "$root/home/nonroot"
  chmod 1777 "$root/tmp"
  import "$root" stand-in/base --env PATH=/usr/local/bin:/usr/bin:/bin --user "$UID_IN_IMAGE"
}

# stand_in_python: for the python image: Debian's Python with pip.
stand_in_python() {
  local root=$WORK/python
  have_image stand-in/python && return
  unpack "$root" ca-certificates,python3,python3-pip,zlib1g
  rm -rf "$root/var/cache/apt/archives"
  import "$root" stand-in/python --env PATH=/usr/bin:/bin --env PIP_CERT=/etc/ssl/certs/ca-certificates.crt
}
