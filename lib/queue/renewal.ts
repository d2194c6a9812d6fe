/**
 * Tells Redis again and again what it would let expire, four times in a lease.
 * @param leaseMs in ms
 * @param complain hears why it could not be told; it is tried again
 * @returns a function that ends it
 */
export function keepRenewing(
  renew: () => Promise<void>,
  leaseMs: number,
  complain: (error: unknown) => void,
): () => void {
  let isRenewing = false;
  const renewals = setInterval(() => {
    // While Redis is away they would pile up.
    if (isRenewing) return;
    isRenewing = true;
    renew()
      .catch(complain)
      .finally(() => {
        isRenewing = false;
      });
  }, leaseMs / 4);
  renewals.unref();
  return () => clearInterval(renewals);
}
