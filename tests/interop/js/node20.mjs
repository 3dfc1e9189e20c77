// js-libp2p wants this from Node 22; Node 20 does not have it. Import it before anything else.
Promise.withResolvers ??= function () {
  let resolve, reject
  const promise = new this((res, rej) => { resolve = res; reject = rej })
  return { promise, resolve, reject }
}
